"""Texts that people have labelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class LabelledText:
    """One text and what people say of it.

    Args:
        text: as published.
        lang: BCP-47 tag.
        label: how toxic people say it is; a share from 0 to 1, or the mean of ``ratings``.
        positive: whether that counts as toxic.
        ratings: of each annotator, from 1 to 5, where the set has them.
        cluster: name that the text shares with its translations; the unit of resampling and of ``split.part_of``.
        groups: grouping -> value, such as ``target`` -> ``women`` or ``functionality`` -> ``slur_h``.
        columns: published scorers' outputs for this text, by the row's own name.
        stands_for: texts of a population that it was drawn to stand for; 1 where all are equal.
    """

    text: str
    lang: str
    label: float
    positive: bool
    cluster: str
    ratings: Sequence[float] = ()
    groups: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, float] = field(default_factory=dict)
    stands_for: float = 1.0


def ratings_of(texts: Sequence[LabelledText]) -> np.ndarray | None:
    """float64 [texts, annotators], NaN where a text has fewer; None where no text has any."""
    most = max((len(one.ratings) for one in texts), default=0)
    if not most:
        return None
    found = np.full((len(texts), most), np.nan)
    for row, one in zip(found, texts, strict=True):
        row[: len(one.ratings)] = one.ratings
    return found
