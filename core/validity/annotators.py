"""How well people agree with each other: the ceiling for any scorer, and Krippendorff's alpha."""

from __future__ import annotations

import numpy as np

from .figures import NAMES, RATINGS, all_of

LEAST = 2
"""Ratings that a text needs for the annotators to be compared on it."""


def ceiling(ratings: np.ndarray, cut: float, counts: np.ndarray) -> np.ndarray:
    """Each annotator against the mean of the others, cut at ``cut``: the mean over annotators of every figure.

    Columns are places in the row (first, second, … annotator of a text), not people: published sets rarely say who is
    who.

    Args:
        ratings: float64 [texts, annotators], from 1 to 5, NaN where there is none.
        cut: a rating of at least this is "toxic", and so is a mean of the others of at least this.
        counts: [resamples, texts].

    Returns:
        [figures, resamples], in the order of ``figures.NAMES``; NaN where no annotator can be judged.
    """
    found = []
    for column in range(ratings.shape[1]):
        others = np.delete(ratings, column, axis=1)
        has = np.isfinite(ratings[:, column]) & np.isfinite(others).any(axis=1)
        if has.any():
            own, mean = ratings[has, column], np.nanmean(others[has], axis=1)
            scale = RATINGS - 1
            one = all_of((own - 1) / scale, mean, mean >= cut, (cut - 1) / scale, np.floor(mean + 0.5))
            found.append(one(counts[:, has]))
    if not found:
        return np.full((len(NAMES), len(counts)), np.nan)
    return np.mean(found, axis=0)


def krippendorff_alpha(ratings: np.ndarray, counts: np.ndarray, level: str = "ordinal") -> np.ndarray:
    """Krippendorff's alpha: 1 - observed / expected disagreement; 1 is full agreement, 0 is what chance gives.

    Args:
        ratings: [texts, annotators], NaN where there is none; a text with fewer than two says nothing.
        counts: [resamples, texts], how often each text is there.
        level: ``ordinal`` or ``interval``: how far apart two ratings are.

    Returns:
        [resamples]; NaN where all ratings are the same.

    Source:
        Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, sections C and E.
    """
    values, place = np.unique(ratings[np.isfinite(ratings)], return_inverse=True)
    each = np.zeros((*ratings.shape, len(values)))
    each[np.isfinite(ratings)] = np.eye(len(values))[place]
    of_text = each.sum(axis=1)  # [texts, values]
    number = of_text.sum(axis=1)
    pairs = np.einsum("ti,tj->tij", of_text, of_text) - np.einsum("ti,ij->tij", of_text, np.eye(len(values)))
    pairs *= np.where(number >= LEAST, 1 / np.maximum(number - 1, 1), 0)[:, None, None]
    together = (counts @ pairs.reshape(len(ratings), -1)).reshape(len(counts), len(values), len(values))
    margins = together.sum(axis=2)
    apart = _ordinal(margins) if level == "ordinal" else np.subtract.outer(values, values)[None] ** 2
    observed = (together * apart).sum(axis=(1, 2))
    expected = (np.einsum("ri,rj->rij", margins, margins) * apart).sum(axis=(1, 2))
    total = margins.sum(axis=1)
    found = np.full(len(counts), np.nan)
    np.divide((total - 1) * observed, expected, out=found, where=expected > 0)
    return 1 - found


def _ordinal(margins: np.ndarray) -> np.ndarray:
    """Squared number of ratings from one value to another, its ends counted half: [resamples, values, values]."""
    upto = np.cumsum(margins, axis=1) - margins / 2
    return (upto[:, :, None] - upto[:, None, :]) ** 2
