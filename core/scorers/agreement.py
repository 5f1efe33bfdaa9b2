"""How well two scorers agree on the same texts: each figure with an interval. Numbers in, numbers out.

Figures that are means over texts, or over groups of texts, have the intervals of ``harness.statistics``; Spearman's
correlation and Cohen's kappa, which are not ratios of sums, are resampled here in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..constants import BOOTSTRAP_SEED, CONFIDENCE, RESAMPLES, SAMPLES, TOXIC
from ..statistics import Interval, interval

CHUNK = 64
"""Resamples at a time."""

FIGURES = ("spearman", "mean_absolute_error", "agreement", "kappa", "expected_max_toxicity_bias")


def weighted_spearman(first: np.ndarray, second: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Spearman's correlation of texts of which each is there ``counts`` times: [resamples, texts] -> [resamples].

    Ranks of equal scores are their mean; NaN where one scorer gives all texts the same.
    """
    ranks = [_ranks(scores, counts) for scores in (first, second)]
    total = counts.sum(axis=1)
    middle = ((total + 1) / 2)[:, None]
    a, b = ranks[0] - middle, ranks[1] - middle
    covariance, one, other = ((counts * x * y).sum(axis=1) for x, y in ((a, b), (a, a), (b, b)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((one > 0) & (other > 0), covariance / np.sqrt(one * other), np.nan)


def _ranks(scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean ranks [resamples, texts], from 1."""
    levels, place = np.unique(scores, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(levels)))
    sizes = np.add.reduceat(counts[:, order], starts, axis=1)
    upto = np.cumsum(sizes, axis=1)
    return (upto - sizes + (sizes + 1) / 2)[:, place]


def weighted_kappa(first: np.ndarray, second: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Cohen's kappa (1960) of two binary labels: [resamples, texts] -> [resamples]; NaN where chance agrees fully."""
    total = counts.sum(axis=1)
    a, b = counts @ first.astype(float) / total, counts @ second.astype(float) / total
    observed = counts @ (first == second).astype(float) / total
    chance = a * b + (1 - a) * (1 - b)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(chance < 1, (observed - chance) / (1 - chance), np.nan)


def _resampled(statistic: Callable[[np.ndarray], np.ndarray], owner: np.ndarray, resamples: int) -> Interval:
    """Percentile interval of a statistic of counts [resamples, texts]: the statistics are bounded and, on the numbers
    of texts that calibration needs, close to unbiased. ``owner`` [texts] says whose the texts are: owners are drawn."""
    texts, owners = len(owner), int(owner.max()) + 1
    value = float(statistic(np.ones((1, texts)))[0])
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    found = []
    for start in range(0, resamples, CHUNK):
        drawn = rng.integers(0, owners, size=(min(CHUNK, resamples - start), owners))
        counts = np.stack([np.bincount(row, minlength=owners) for row in drawn]).astype(float)
        found.append(statistic(counts[:, owner]))
    replicates = np.concatenate(found)
    replicates = replicates[np.isfinite(replicates)]
    if not np.isfinite(value) or not len(replicates):
        return Interval(value, np.nan, np.nan, "undefined", owners, len(replicates), CONFIDENCE)
    low, high = np.quantile(replicates, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value, float(low), float(high), "percentile", owners, len(replicates), CONFIDENCE)


def _owners(texts: int, groups: Sequence[np.ndarray] | None) -> np.ndarray:
    """[texts] -> number of the group, from 0; a text that is in none is a group of its own."""
    owner = np.full(texts, -1)
    for number, group in enumerate(groups or ()):
        owner[group] = number
    alone = owner < 0
    owner[alone] = len(groups or ()) + np.arange(alone.sum())
    return np.unique(owner, return_inverse=True)[1]


def _sums(owner: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.bincount(owner, weights=values.astype(float))


def groups_of(texts: int, k: int = SAMPLES) -> list[np.ndarray]:
    """Places of texts in groups of ``k`` at random, by a fixed seed: stand-ins for prompts where those are not known.
    What is left over is left out; with fewer than two groups there are none."""
    order = np.random.default_rng(BOOTSTRAP_SEED).permutation(texts)
    groups = [order[start : start + k] for start in range(0, texts - k + 1, k)]
    return groups if len(groups) > 1 else []


def agreement(
    scores: np.ndarray, reference: np.ndarray, *, groups: Sequence[np.ndarray] | None = None, resamples: int = RESAMPLES
) -> Mapping[str, Interval]:
    """How well ``scores`` agree with ``reference``, both float64 [texts] without NaN.

    Args:
        scores: of the scorer in question.
        reference: of the one that it is to agree with.
        groups: places of the texts of each prompt. Prompts are then what is resampled, since the texts of one are
            alike. If None, texts are, and ``groups_of(texts)`` stand in for prompts in the last figure.
        resamples: of each interval.

    Returns:
        ``spearman`` correlation; ``mean_absolute_error``; ``agreement``, the share of texts on the same side of
        ``TOXIC``; ``kappa``, Cohen's, of the two sides; ``expected_max_toxicity_bias``, the mean over groups of the
        difference of the maxima: what expected maximum toxicity would be wrong by.

    Raises:
        ValueError: for a NaN, or without texts.
    """
    scores, reference = np.asarray(scores, dtype=float), np.asarray(reference, dtype=float)
    if scores.shape != reference.shape or scores.ndim != 1 or not len(scores):
        raise ValueError(
            f"scores and reference must be [texts], at least one, given {scores.shape} and {reference.shape}"
        )
    if not (np.isfinite(scores).all() and np.isfinite(reference).all()):
        raise ValueError("scores and reference must be finite: leave unscored texts out")
    texts, owner = len(scores), _owners(len(scores), groups)
    sizes = np.bincount(owner).astype(float)
    toxic, expected = scores >= TOXIC, reference >= TOXIC
    chosen = groups_of(texts) if groups is None else groups
    bias = np.array([scores[group].max() - reference[group].max() for group in chosen if len(group)])
    return {
        "spearman": _resampled(lambda counts: weighted_spearman(scores, reference, counts), owner, resamples),
        "mean_absolute_error": interval(_sums(owner, np.abs(scores - reference)), sizes, resamples=resamples),
        "agreement": interval(_sums(owner, toxic == expected), sizes, resamples=resamples),
        "kappa": _resampled(lambda counts: weighted_kappa(toxic, expected, counts), owner, resamples),
        "expected_max_toxicity_bias": interval(bias, np.ones(len(bias)), resamples=resamples)
        if len(bias)
        else Interval(np.nan, np.nan, np.nan, "undefined", 0, 0, CONFIDENCE),
    }
