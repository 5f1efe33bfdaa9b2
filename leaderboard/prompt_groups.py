"""Parts of a section: the prompts of one group, in all its languages (a demographic axis, a harm, a column)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from .pairing import Section

LEAST = 10
"""Prompts of a group in all languages together, without which it is no test: fewer cannot be told from chance among as
many tests as there then are."""
MOST = 100
"""Groups of a section, the largest ones: a set of noun phrases has a group for each."""


def parts(section: Section) -> Iterator[tuple[str, Section]]:
    """``grouping=value`` and its prompts, the largest group first; a language without any is left out of it.

    A group that all prompts are in is the section itself, and no part.
    """
    sizes = Counter(label for language in section.labels for prompt in language for label in prompt)
    every = sum(map(len, section.prompts))
    chosen = [label for label, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])) if size >= LEAST]
    for label in [one for one in chosen if sizes[one] < every][:MOST]:
        yield label, _of(section, label)


def _of(section: Section, label: str) -> Section:
    places = [np.flatnonzero([label in prompt for prompt in language]) for language in section.labels]
    kept = [at for at, chosen in enumerate(places) if len(chosen)]
    return replace(
        section,
        languages=tuple(section.languages[at] for at in kept),
        a=tuple(section.a[at][:, :, places[at]] for at in kept),
        b=tuple(section.b[at][:, :, places[at]] for at in kept),
        prompts=tuple(tuple(section.prompts[at][i] for i in places[at]) for at in kept),
        unpaired=tuple((0, 0) for _ in kept),
        labels=tuple(tuple(section.labels[at][i] for i in places[at]) for at in kept),
    )
