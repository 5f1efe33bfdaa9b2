"""Differences between two methods on the same prompts, and what many comparisons at once may claim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from ..constants import BOOTSTRAP_SEED, CONFIDENCE, RESAMPLES
from .bootstrap import Interval, Resampled, bca_tail_of, bootstrap, canonical
from .intervals import check_groups, check_options, ratio_rows

Pair = tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]
"""``(numerators_a, denominators_a, numerators_b, denominators_b)`` of one group, with the same prompts in both."""


@dataclass(frozen=True)
class Difference:
    """What replacing method a by method b changes, in the unit of the metric.

    Attributes:
        interval: Of b - a, on the prompts that both have measured.
        p_value: Two-sided, of no difference; NaN where ``interval`` is undefined. See ``paired_differences``.
        standard_error: Standard deviation of the resampled differences; NaN where they cannot differ.
        minimum_detectable: ``minimum_detectable_difference(standard_error)``.
        significant: ``p_value < 1 - confidence``, before any correction for the number of comparisons.
    """

    interval: Interval
    p_value: float
    standard_error: float
    minimum_detectable: float
    significant: bool


def paired_differences(
    numerators_a: ArrayLike,
    denominators_a: ArrayLike,
    numerators_b: ArrayLike,
    denominators_b: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = BOOTSTRAP_SEED,
) -> list[Difference]:
    """Paired bootstrap of ``b - a`` for several metrics: both methods are measured on the same resampled prompts.

    A prompt that one of the two has not measured is left out of both, for that metric: a method whose hard prompts
    failed to be scored would gain by it. The order of the prompts does not matter, and exchanging a and b changes
    signs and nothing else.

    The p-value is the level at which the BCa interval would just exclude 0 (Efron and Tibshirani 1993, section 15.4),
    with replicates of exactly 0 counted against a difference, and never less than can be had at all: neither
    ``2 / (resamples + 1)`` nor ``2^(1 - m)``, with ``m`` the prompts on which the two differ. The latter is the
    smallest p-value of the exact test that exchanges a and b prompt by prompt; the bootstrap alone would call three
    equal differences out of three significant.

    Args:
        numerators_a, denominators_a, numerators_b, denominators_b: [metrics, prompts], as in ``intervals``; column i is
            the same prompt in all four.
        resamples: At least 2.
        confidence: Nominal coverage, between 0 and 1.
        seed: Of the generator; not negative.

    Raises:
        ValueError: As in ``intervals``; a and b with different shapes.
    """
    groups = [(numerators_a, denominators_a, numerators_b, denominators_b)]
    return paired_macro_differences(groups, resamples=resamples, confidence=confidence, seed=seed)


def paired_difference(
    numerators_a: ArrayLike,
    denominators_a: ArrayLike,
    numerators_b: ArrayLike,
    denominators_b: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = BOOTSTRAP_SEED,
) -> Difference:
    """``paired_differences`` of one metric: all four are [prompts]."""
    groups = [(numerators_a, denominators_a, numerators_b, denominators_b)]
    return paired_macro_difference(groups, resamples=resamples, confidence=confidence, seed=seed)


def paired_macro_differences(
    groups: Sequence[Pair],
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = BOOTSTRAP_SEED,
) -> list[Difference]:
    """Paired bootstrap of the macro-average of b less that of a, resampled within each group (language).

    Args:
        groups: For each group the four arrays of ``paired_differences``, [metrics, prompts of the group]. As in
            ``macro_intervals``, a group without a prompt measured by both makes the metric ``undefined``.
        resamples: At least 2.
        confidence: Nominal coverage, between 0 and 1.
        seed: Of the generator; not negative.

    Raises:
        ValueError: As in ``paired_differences``; no groups; groups with different numbers of metrics.
    """
    return _differences(groups, 2, resamples, confidence, seed)


def paired_macro_difference(
    groups: Sequence[Pair],
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = BOOTSTRAP_SEED,
) -> Difference:
    """``paired_macro_differences`` of one metric: the four arrays of each group are [prompts of the group]."""
    return _differences(groups, 1, resamples, confidence, seed)[0]


def minimum_detectable_difference(standard_error: float, *, level: float = 0.05, power: float = 0.8) -> float:
    """The true difference that a two-sided test at ``level`` finds with probability ``power``: (z + z) standard errors.

    >>> round(minimum_detectable_difference(0.01), 4)
    0.028
    """
    for name, given in (("level", level), ("power", power)):
        if not 0 < given < 1:
            raise ValueError(f"{name} must be between 0 and 1, given {given!r}")
    if standard_error < 0:
        raise ValueError(f"standard_error must be at least 0, given {standard_error!r}")
    normal = NormalDist()
    return (normal.inv_cdf(1 - level / 2) + normal.inv_cdf(power)) * standard_error


def benjamini_hochberg(p_values: ArrayLike, q: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Adjusted p-values, and which to reject so that at most ``q`` of the rejections are expected to be false.

    Args:
        p_values: [comparisons], each between 0 and 1, or NaN where there was no comparison.
        q: False discovery rate, between 0 and 1.

    Returns:
        ``(adjusted, rejected)``, both [comparisons]. A NaN stays NaN, is not rejected and is not counted.

    Raises:
        ValueError: Not one-dimensional, or out of range.

    Sources:
        Benjamini and Hochberg (1995), Controlling the False Discovery Rate, JRSS B 57; adjusted as in R's ``p.adjust``.
    """
    p = np.asarray(p_values, dtype=float)
    if p.ndim != 1:
        raise ValueError(f"p_values must be [comparisons], given the shape {p.shape}")
    if ((p < 0) | (p > 1)).any():
        raise ValueError(f"p_values must be between 0 and 1 or NaN, given {p[(p < 0) | (p > 1)][0]}")
    if not 0 < q < 1:
        raise ValueError(f"q must be between 0 and 1, given {q!r}")
    adjusted = np.full(p.shape, np.nan)
    counted = np.flatnonzero(~np.isnan(p))
    order = counted[np.argsort(p[counted], kind="stable")]
    scaled = p[order] * len(order) / np.arange(1, len(order) + 1)
    adjusted[order] = np.minimum(1, np.minimum.accumulate(scaled[::-1])[::-1])
    return adjusted, adjusted <= q


def _differences(
    groups: Sequence[Pair], dimensions: int, resamples: int, confidence: float, seed: int
) -> list[Difference]:
    check_options(resamples, confidence, seed)
    strata, sides = _oriented(check_groups([_shared(*group, dimensions=dimensions) for group in groups]))
    unlike = np.sum([(s[:, :2] != s[:, 2:]).any(axis=1).sum(axis=-1) for s in strata], axis=0)
    resampled = bootstrap(strata, resamples=resamples, seed=seed)
    return [_difference(metric, sides[m], int(unlike[m]), confidence) for m, metric in enumerate(resampled)]


def _shared(*arrays: ArrayLike, dimensions: int) -> np.ndarray:
    """The four arrays as [metrics, 4, prompts], with (0, 0, 0, 0) where one of the two was not measured."""
    a = ratio_rows(*arrays[:2], dimensions=dimensions)
    b = ratio_rows(*arrays[2:], dimensions=dimensions)
    if a.shape != b.shape:
        raise ValueError(
            "a and b must be measured on the same prompts, "
            f"given {a[:, 0].shape} and {b[:, 0].shape} [metrics, prompts]: align them by prompt first"
        )
    measured = (a[:, 1:] > 0) & (b[:, 1:] > 0)
    return np.where(measured, np.concatenate([a, b], axis=1), 0.0)


def _oriented(strata: list[np.ndarray]) -> tuple[list[np.ndarray], list[int]]:
    """Canonical strata, a and b exchanged where that sorts first: (a, b) and (b, a) then draw the same resamples.

    The sides [metrics] are 1, or -1 where they were exchanged, or 0 where exchanging them gives the same data.
    """
    forward, backward = canonical(strata), canonical([stratum[:, [2, 3, 0, 1]] for stratum in strata])
    sides = []
    for metric in range(strata[0].shape[0]):
        gap = np.concatenate([(f[metric] - b[metric]).ravel() for f, b in zip(forward, backward, strict=True)])
        first = gap[np.flatnonzero(gap)[:1]]
        sides.append(-int(np.sign(first[0])) if len(first) else 0)
        if sides[-1] < 0:
            for f, b in zip(forward, backward, strict=True):
                f[metric] = b[metric]
    return forward, sides


def _difference(metric: Resampled, side: int, unlike: int, confidence: float) -> Difference:
    forward = metric.interval(confidence)
    value, low, high = forward.value, forward.low, forward.high
    if side < 0:
        value, low, high = -value, -high, -low
    elif side == 0 and not math.isnan(value):
        # The two are the same but for the order of the prompts: exactly 0, and the bounds are as far from it.
        value, low, high = 0.0, (low - high) / 2, (high - low) / 2
    bounds = Interval(value, low, high, forward.method, forward.prompts, forward.resamples, confidence)
    error = math.nan if metric.constant or not len(metric.replicates) else float(metric.replicates.std(ddof=1))
    p = _p_value(metric, unlike, corrected=bounds.method == "bca")
    return Difference(bounds, p, error, minimum_detectable_difference(error), p < 1 - confidence)


def _p_value(metric: Resampled, unlike: int, *, corrected: bool) -> float:
    drawn = len(metric.replicates)
    if math.isnan(metric.value) or not drawn:
        return math.nan
    # One resample more than there are, on the side of no difference, keeps the shares off 0 and 1.
    not_above = min((1 + np.count_nonzero(metric.replicates <= metric.tolerance)) / (drawn + 1), drawn / (drawn + 1))
    not_below = min((1 + np.count_nonzero(metric.replicates >= -metric.tolerance)) / (drawn + 1), drawn / (drawn + 1))
    bias, acceleration = (metric.bias_correction, metric.acceleration) if corrected else (0.0, 0.0)
    upward = bca_tail_of(not_above, bias, acceleration)
    downward = 1 - bca_tail_of(1 - not_below, bias, acceleration)
    return float(min(1, max(2 * min(upward, downward), 2 / (drawn + 1), 2.0 ** (1 - unlike))))
