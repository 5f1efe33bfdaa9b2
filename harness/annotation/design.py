"""Which generations people are asked about: drawn at random by a design that is written down.

``rating``: for each run and language a sample stratified by the scorer's score. Half of it goes to the strata in
proportion to their texts, half in equal parts: rare high scores are looked at, and the many low ones not forgotten.
Every text's stratum and how many texts it stands for are kept, so that estimates are of the run and not of the sample.

``pairs``: for each two runs and language, prompts that both continued, with one continuation of each, side by side in
random order.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...core.errors import DetoxbenchError
from ...core.statistics.prediction_powered import LEAST
from .texts import Text, scored

Design = Literal["rating", "pairs"]
DESIGNS: tuple[Design, ...] = ("rating", "pairs")
EDGES = (0.25, 0.5, 0.75)
"""Between strata of the score."""


@dataclass(frozen=True)
class Item:
    """What is asked about at once: a text, or two beside each other.

    Args:
        texts: one, or two in the order shown.
        stratum: of the score; empty for pairs.
        stands_for: texts of the run that it stands for; 1 for pairs.
    """

    texts: tuple[Text, ...]
    stratum: str = ""
    stands_for: float = 1.0


@dataclass(frozen=True)
class Shown:
    """An item in its place: ``id`` is all that raters see of it beside the texts; ``repeats`` is that of a first."""

    id: str
    item: Item
    repeats: str | None = None


def strata(texts: Sequence[Text], most: int) -> dict[str, list[Text]]:
    """Texts by their score, neighbours put together until each stratum has ``LEAST``, and there are ``most`` at most.

    >>> strata([], 4)
    {}
    """
    bins: list[tuple[list[float], list[Text]]] = []
    for low, high in itertools.pairwise((0.0, *EDGES, 1.0)):
        last = high == 1.0
        bins.append(([low, high], [t for t in texts if (low <= t.score or low == 0.0) and (t.score < high or last)]))
    while len(bins) > 1 and (len(bins) > most or any(len(inside) < LEAST for _, inside in bins)):
        at = min(range(len(bins)), key=lambda place: len(bins[place][1]))
        other = min((near for near in (at - 1, at + 1) if 0 <= near < len(bins)), key=lambda near: len(bins[near][1]))
        one, two = sorted((at, other))
        bins[one : two + 1] = [([bins[one][0][0], bins[two][0][1]], bins[one][1] + bins[two][1])]
    return {f"{low:g}-{high:g}": inside for (low, high), inside in bins if inside}


def allocation(sizes: Sequence[int], total: int) -> list[int]:
    """How many to draw of strata of these sizes: half in proportion, half equally, ``LEAST`` at least where there are.

    >>> allocation([90, 10], 20), allocation([3, 97], 20), allocation([1, 2], 20)
    ([14, 6], [3, 17], [1, 2])
    """
    whole = sum(sizes)
    if total >= whole:
        return list(sizes)
    least = [min(size, LEAST) for size in sizes]
    wanted = [total * (0.5 * size / whole + 0.5 / len(sizes)) for size in sizes]
    found = [max(low, min(size, int(want))) for low, size, want in zip(least, sizes, wanted, strict=True)]
    while sum(found) != total:
        sign = 1 if sum(found) < total else -1
        limits = sizes if sign > 0 else least
        room = [place for place, limit in enumerate(limits) if sign * found[place] < sign * limit]
        if not room:
            break  # fewer were asked for than the strata need at least
        found[max(room, key=lambda place: sign * (wanted[place] - found[place]))] += sign
    return found


def draw_ratings(runs: Mapping[str, Sequence[Text]], per_cell: int, rng: np.random.Generator) -> list[Item]:
    """``per_cell`` texts of each run and language, of those that the scorer has scored.

    Raises:
        DetoxbenchError: for fewer than ``LEAST`` a cell, or runs without a scored text.
    """
    if per_cell < LEAST:
        raise DetoxbenchError(f"--per-cell {per_cell}: at least {LEAST} texts of each run and language are needed")
    found = []
    for texts in runs.values():
        for lang in sorted({text.lang for text in texts}):
            cell = scored([text for text in texts if text.lang == lang])
            parts = strata(cell, max(1, per_cell // (2 * LEAST)))
            for (name, inside), number in zip(
                parts.items(), allocation([len(inside) for inside in parts.values()], per_cell), strict=True
            ):
                chosen = rng.permutation(len(inside))[:number]
                found += [Item((inside[place],), name, len(inside) / number) for place in sorted(chosen)]
    if not found:
        raise DetoxbenchError("no generation of these runs has a score: there is nothing to draw from")
    return found


def draw_pairs(runs: Mapping[str, Sequence[Text]], per_cell: int, rng: np.random.Generator) -> list[Item]:
    """``per_cell`` prompts of each two runs and language, one continuation of each run, sides at random.

    Raises:
        DetoxbenchError: for a single run, or runs that share no prompt.
    """
    if per_cell < 1:
        raise DetoxbenchError(f"--per-cell {per_cell}: at least one prompt of each pair and language is needed")
    if len(runs) < 2:
        raise DetoxbenchError("--design pairs compares runs: give the results of two or more")
    by_prompt = {}
    for name, texts in runs.items():
        by_prompt[name] = {}
        for text in texts:
            by_prompt[name].setdefault(text.of_prompt, []).append(text)
    found = []
    for one, other in itertools.combinations(by_prompt, 2):
        shared = [prompt for prompt in by_prompt[one] if prompt in by_prompt[other]]
        for lang in sorted({prompt[0] for prompt in shared}):
            cell = [prompt for prompt in shared if prompt[0] == lang]
            for place in sorted(rng.permutation(len(cell))[:per_cell]):
                pair = [by_prompt[name][cell[place]] for name in (one, other)]
                both = tuple(texts[int(rng.integers(len(texts)))] for texts in pair)
                found.append(Item(both if rng.random() < 0.5 else both[::-1]))
    if not found:
        raise DetoxbenchError("the runs share no prompt: --design pairs needs runs on the same prompts")
    return found


def shown(items: Sequence[Item], duplicates: float, rng: np.random.Generator) -> list[Shown]:
    """In random order, a share of them twice: the second time in the second half, the first in the first.

    Raises:
        DetoxbenchError: for a share out of its range.
    """
    if not 0 <= duplicates <= 0.5:
        raise DetoxbenchError(f"--duplicates {duplicates:g}: a share from 0 to 0.5 of the texts is shown twice")
    order = [items[place] for place in rng.permutation(len(items))]
    half = len(order) // 2
    again = order[: min(half, round(duplicates * len(order)))]
    late: list[tuple[Item, bool]] = [(item, False) for item in order[half:]] + [(item, True) for item in again]
    late = [late[place] for place in rng.permutation(len(late))]
    found: list[Shown] = []
    first: dict[int, str] = {}
    for number, (item, second) in enumerate([*((item, False) for item in order[:half]), *late], 1):
        name = f"t{number:04d}"
        found.append(Shown(name, item, first[id(item)] if second else None))
        first.setdefault(id(item), name)
    return found
