"""Draws of clusters of labelled texts, on which every figure of every scorer is computed alike."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..constants import CONFIDENCE
from ..statistics.shares import share_interval
from . import figures
from .labelled import LabelledText

CHUNK = 64
"""Resamples at a time."""
KEPT = 2**26
"""Counts of clusters in all resamples that are held in memory, two bytes each."""


@dataclass(frozen=True)
class Sampled:
    """Figures [figures] of all texts, and of the draws [figures, resamples]."""

    values: np.ndarray
    replicates: np.ndarray

    def as_json(self, names: Sequence[str] = figures.NAMES) -> Mapping[str, dict[str, float | None]]:
        return {name: interval(*pair) for name, *pair in zip(names, self.values, self.replicates, strict=True)}


class Draws:
    """How often each text is there, in the sample itself and in each draw with replacement of its clusters.

    A text counts for as many as it stands for (``LabelledText.stands_for``): figures of a sample that was drawn with
    unequal shares are those of the population (Horvitz and Thompson 1952).

    Args:
        texts: at least one.
        resamples: draws of clusters.
    """

    def __init__(self, texts: Sequence[LabelledText], resamples: int, seed: int) -> None:
        self._owner = np.unique([one.cluster for one in texts], return_inverse=True)[1]
        self._weights = np.array([one.stands_for for one in texts], dtype=float)
        self._resamples, self._seed = resamples, seed
        clusters = int(self._owner.max()) + 1
        # They serve every language, scorer and group: kept where they are small, drawn again where they are not.
        self._kept = list(self._drawn()) if clusters * resamples <= KEPT else None

    def sampled(self, figure: figures.Figure, places: np.ndarray) -> Sampled:
        """A figure of the texts at these places; draws in which none of them is left give NaN."""
        owner, weights = self._owner[places], self._weights[places]
        value = figure(weights[None, :])[:, 0]
        with np.errstate(invalid="ignore", divide="ignore"):
            replicates = [
                figure(counts[:, owner] * weights) for counts in (self._drawn() if self._kept is None else self._kept)
            ]
        return Sampled(value, np.concatenate(replicates, axis=1))

    def shares(
        self,
        found: Mapping[str, dict[str, float | None]],
        parts: Mapping[str, tuple[np.ndarray, np.ndarray]],
        places: np.ndarray,
    ) -> dict[str, dict[str, float | None]]:
        """Figures of which those that are shares, and that no draw changes, have an exact interval.

        No false positive among 30 texts is not a rate of zero: draws of those texts cannot show what was not seen.

        Args:
            found: figures of the texts at these places.
            parts: of the shares, bool [texts]: what is counted, and among what.
            places: of the texts.
        """
        weights, owner = self._weights[places], self._owner[places]
        exact = {}
        for name, (counted, among) in parts.items():
            one = found.get(name)
            if one and one["value"] is not None and one["low"] == one["high"] and len(set(weights.tolist())) == 1:
                top, bottom = np.bincount(owner, counted & among), np.bincount(owner, among)
                share = share_interval([np.stack([top, bottom])], CONFIDENCE)
                low, high = (None if math.isnan(end) else end for end in (share.low, share.high))
                exact[name] = {"value": one["value"], "low": low, "high": high}
        return {**found, **exact}

    def _drawn(self) -> Iterator[np.ndarray]:
        """How often each cluster is there, [``CHUNK``, clusters]."""
        clusters = int(self._owner.max()) + 1
        rng = np.random.default_rng(self._seed)
        for start in range(0, self._resamples, CHUNK):
            rows = rng.integers(0, clusters, size=(min(CHUNK, self._resamples - start), clusters))
            yield np.stack([np.bincount(row, minlength=clusters) for row in rows]).astype(np.uint16)


def interval(value: float, replicates: np.ndarray) -> dict[str, float | None]:
    """The value with the central 95% of its draws; None is undefined."""
    kept = replicates[np.isfinite(replicates)]
    if not math.isfinite(value):
        return {"value": None, "low": None, "high": None}
    if not len(kept):
        return {"value": float(value), "low": None, "high": None}
    low, high = np.quantile(kept, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return {"value": float(value), "low": float(low), "high": float(high)}


def p_value(difference: Sampled, row: int) -> float:
    """Two-sided, from the share of draws on either side of no difference."""
    drawn = difference.replicates[row][np.isfinite(difference.replicates[row])]
    if not math.isfinite(difference.values[row]) or not len(drawn):
        return math.nan
    tails = (np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0))
    return float(min(1.0, 2 * (1 + min(tails)) / (len(drawn) + 1)))


def number(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if math.isfinite(value) else None
