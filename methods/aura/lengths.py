"""Texts of both sides that are of one language and one length, pair by pair.

A maximum over positions grows with their number, whatever the text says: where one side's texts are longer, nearly
every neuron "tells" the sides apart. With as many texts of each length on both sides, what tells them is not length.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import chain

Row = list[int]


def matched(
    toxic: Iterable[tuple[Hashable, Row]], nontoxic: Iterable[tuple[Hashable, Row]], count: int, seed: int
) -> tuple[list[Row], list[Row], int]:
    """Pairs of a toxic and a harmless row of tokens, equally long.

    Texts of one group and length are paired first, at random. If those are fewer than wanted, the others of a group are
    paired from the shortest to the longest, and the longer one of a pair is cut: the least cut pairs are taken.

    Args:
        toxic, nontoxic: group (the text's language) and token ids of each text.
        count: pairs wanted.
        seed: of the choice.

    Returns:
        Toxic rows, harmless rows, and how many pairs had one cut. Fewer than wanted where a group has no more; none
        where the sides share no group.
    """
    sides = _by_group(toxic), _by_group(nontoxic)
    rng = random.Random(seed)
    whole: list[tuple[Row, Row]] = []
    rest: list[tuple[Row, Row]] = []
    for group in sorted(sides[0].keys() & sides[1].keys(), key=repr):
        lengths = [_by_length(side[group], rng) for side in sides]
        for length in sorted(lengths[0].keys() & lengths[1].keys()):
            one, other = (side[length] for side in lengths)
            whole += [(one.pop(), other.pop()) for _ in range(min(len(one), len(other)))]
        left = [list(chain.from_iterable(side[length] for length in sorted(side))) for side in lengths]
        rest += zip(*(_spread(one, min(map(len, left))) for one in left), strict=True)
    rng.shuffle(whole)
    found, cut = whole[:count], 0
    if len(found) < count:
        rest.sort(key=lambda pair: abs(len(pair[0]) - len(pair[1])))
        more = rest[: count - len(found)]
        cut = len(more)
        found += [(one[: min(len(one), len(other))], other[: min(len(one), len(other))]) for one, other in more]
    return [one for one, _ in found], [other for _, other in found], cut


def _by_group(rows: Iterable[tuple[Hashable, Row]]) -> Mapping[Hashable, list[Row]]:
    found: defaultdict[Hashable, list[Row]] = defaultdict(list)
    for group, row in rows:
        found[group].append(row)
    return found


def _by_length(rows: Sequence[Row], rng: random.Random) -> dict[int, list[Row]]:
    """Length -> rows, in random order."""
    found: defaultdict[int, list[Row]] = defaultdict(list)
    for row in rng.sample(rows, len(rows)):
        found[len(row)].append(row)
    return found


def _spread(rows: Sequence[Row], count: int) -> list[Row]:
    """So many of the rows, evenly over them."""
    return [rows[at * len(rows) // count] for at in range(count)]
