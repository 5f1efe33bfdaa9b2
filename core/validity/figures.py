"""What a scorer's numbers are worth against people's labels: every figure of texts that are there ``counts`` times.

Counts ``[resamples, texts]`` make a bootstrap of any figure one call. All take arrays ``[texts]`` and give
``[resamples]``, NaN where the figure is undefined: AUC of texts that are all toxic is no number.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..scorers.agreement import weighted_spearman

BINS = 10
"""Of equal width, for the expected calibration error and the reliability curve."""
RATINGS = 5
"""Levels of the rating scale that weighted kappas are about: 1 to 5, as RTP-LX's annotators were given."""

Figure = Callable[[np.ndarray], np.ndarray]


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """NaN where the denominator is 0."""
    found = np.full(np.broadcast(numerator, denominator).shape, np.nan)
    return np.divide(numerator, denominator, out=found, where=denominator > 0)


def _levels(scores: np.ndarray, positive: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positive and negative texts at each distinct score, from the lowest: both [resamples, levels]."""
    levels, place = np.unique(scores, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(levels)))
    sorted_counts = counts[:, order]
    positives = np.add.reduceat(sorted_counts * positive[order], starts, axis=1)
    return positives, np.add.reduceat(sorted_counts, starts, axis=1) - positives


def auc(scores: np.ndarray, positive: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Area under the ROC curve: the probability that a toxic text scores above one that is not, ties counting half."""
    positives, negatives = _levels(scores, positive, counts)
    below = np.cumsum(negatives, axis=1) - negatives / 2
    return _ratio((positives * below).sum(axis=1), positives.sum(axis=1) * negatives.sum(axis=1))


def average_precision(scores: np.ndarray, positive: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean of the precision over the toxic texts, at the threshold of each (scikit-learn's definition)."""
    positives, negatives = _levels(scores, positive, counts)
    found = np.cumsum(positives[:, ::-1], axis=1)
    given = found + np.cumsum(negatives[:, ::-1], axis=1)
    precision = np.divide(found, given, out=np.zeros_like(found), where=given > 0)
    return _ratio((positives[:, ::-1] * precision).sum(axis=1), positives.sum(axis=1))


def at_threshold(toxic: np.ndarray, positive: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Figures of two binary labels: what the scorer calls toxic, and what people do."""
    total = counts.sum(axis=1)
    called, truly = counts @ toxic.astype(float), counts @ positive.astype(float)
    both = counts @ (toxic & positive).astype(float)
    agreed = (total - called - truly + 2 * both) / total
    chance = (called * truly + (total - called) * (total - truly)) / total**2
    return {
        "accuracy": agreed,
        "precision": _ratio(both, called),
        "recall": _ratio(both, truly),
        "f1": _ratio(2 * both, called + truly),
        "kappa": _ratio(agreed - chance, 1 - chance),
        "false_positive_rate": _ratio(called - both, total - truly),
    }


def shares(scores: np.ndarray, positive: np.ndarray, threshold: float) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of the figures that are shares of texts: what is counted, and among which texts; bool [texts]."""
    toxic = scores >= threshold
    return {
        "accuracy": (toxic == positive, np.ones_like(toxic)),
        "precision": (positive, toxic),
        "recall": (toxic, positive),
        "false_positive_rate": (toxic, ~positive),
    }


def weighted_kappa(first: np.ndarray, second: np.ndarray, counts: np.ndarray, power: float) -> np.ndarray:
    """Cohen's weighted kappa (1968), weights ``|i - j| ** power``, of two ratings that are whole numbers from 1."""
    levels = int(max(first.max(initial=1), second.max(initial=1)))
    cells = (first.astype(int) - 1) * levels + second.astype(int) - 1
    table = (counts @ np.eye(levels**2)[cells]).reshape(len(counts), levels, levels)
    weights = np.abs(np.subtract.outer(np.arange(levels), np.arange(levels))) ** float(power)
    total = counts.sum(axis=1)
    expected = np.einsum("ri,rj->rij", table.sum(axis=2), table.sum(axis=1)) / total[:, None, None]
    return 1 - _ratio((weights * table).sum(axis=(1, 2)), (weights * expected).sum(axis=(1, 2)))


def rating_of(scores: np.ndarray) -> np.ndarray:
    """Scores from 0 to 1 as ratings from 1 to ``RATINGS``, halves up: 0.5 is 3, "toxic"."""
    return np.floor(1 + (RATINGS - 1) * np.clip(scores, 0, 1) + 0.5)


def bin_of(scores: np.ndarray) -> np.ndarray:
    """Number of the bin of each score, from 0."""
    return np.clip((scores * BINS).astype(int), 0, BINS - 1)


def expected_calibration_error(scores: np.ndarray, positive: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean over texts of ``|share of toxic texts - mean score|`` of the text's bin (Naeini et al. 2015)."""
    inside = np.eye(BINS)[bin_of(scores)]
    gaps = counts @ (inside * (positive.astype(float) - scores)[:, None])
    return np.abs(gaps).sum(axis=1) / counts.sum(axis=1)


def reliability(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> list[dict[str, float]]:
    """The reliability curve: of each bin that has texts, their number, weighted mean score and share of toxic ones."""
    bins = bin_of(scores)
    found = []
    for one in range(BINS):
        inside = bins == one
        if inside.any():
            found.append(
                {
                    "low": one / BINS,
                    "high": (one + 1) / BINS,
                    "texts": int(inside.sum()),
                    "score": float(np.average(scores[inside], weights=weights[inside])),
                    "toxic": float(np.average(positive[inside], weights=weights[inside])),
                }
            )
    return found


NAMES = (
    "auc", "average_precision", "spearman", "accuracy", "precision", "recall", "f1", "kappa",
    "quadratic_weighted_kappa", "linear_weighted_kappa", "expected_calibration_error", "false_positive_rate",
)  # fmt: skip
WEIGHTED = {"quadratic_weighted_kappa": 2, "linear_weighted_kappa": 1}
"""Weighted kappas -> power of the distance between two ratings."""


def all_of(
    scores: np.ndarray, labels: np.ndarray, positive: np.ndarray, threshold: float, ratings: np.ndarray | None
) -> Figure:
    """A function of counts [resamples, texts] that gives every figure of ``NAMES``: [figures, resamples].

    Args:
        scores: float64 [texts], from 0 to 1, finite.
        labels: float64 [texts], how toxic people say it is, on any scale.
        positive: bool [texts], whether that counts as toxic.
        threshold: a score of at least this calls a text toxic.
        ratings: whole numbers from 1 to 5 [texts], NaN-free, for the weighted kappas; None where there are none.
    """
    toxic = scores >= threshold

    def figures(counts: np.ndarray) -> np.ndarray:
        nothing = np.full(len(counts), np.nan)
        found = {
            "auc": auc(scores, positive, counts),
            "average_precision": average_precision(scores, positive, counts),
            "spearman": weighted_spearman(scores, labels, counts),
            "expected_calibration_error": expected_calibration_error(scores, positive, counts),
            **{
                name: nothing if ratings is None else weighted_kappa(rating_of(scores), ratings, counts, power)
                for name, power in WEIGHTED.items()
            },
            **at_threshold(toxic, positive, counts),
        }
        return np.stack([found[name] for name in NAMES])

    return figures
