"""Differences between two methods on the same prompts, and what many comparisons at once may claim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ..constants import CONFIDENCE
from . import signflip, skewness
from .bootstrap import Interval, canonical, estimate
from .intervals import check_confidence, check_groups, ratio_rows

Pair = tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]
"""``(numerators_a, denominators_a, numerators_b, denominators_b)`` of one group, with the same prompts in both."""

SIGN_FLIP = "sign-flip"


@dataclass(frozen=True)
class Difference:
    """What replacing method a by method b changes, in the unit of the metric.

    Attributes:
        interval: Of b - a, on the prompts that both have measured: the shifts that the test does not reject.
        p_value: Two-sided, of no difference; NaN where ``interval`` is undefined. See ``paired_differences``.
        standard_error: Of b - a, from the prompts' scores; NaN where no two prompts differ, or there is only one.
        minimum_detectable: ``minimum_detectable_difference(standard_error)``.
        significant: ``p_value < 1 - confidence``, before any correction for the number of comparisons.
        p_above, p_below: One-sided, of b being no more, and no less, than a.
    """

    interval: Interval
    p_value: float
    standard_error: float
    minimum_detectable: float
    significant: bool
    p_above: float = math.nan
    p_below: float = math.nan


def paired_differences(
    numerators_a: ArrayLike,
    denominators_a: ArrayLike,
    numerators_b: ArrayLike,
    denominators_b: ArrayLike,
    *,
    confidence: float = CONFIDENCE,
) -> list[Difference]:
    """The difference ``b - a`` of several metrics on the same prompts, as sure as the less sure of two tests is.

    The sign-flip test (``signflip``) asks whether a and b could be exchanged on every prompt. It is then exact for any
    number of prompts and any distribution, the far tail included. Johnson's modified t (``skewness``) asks whether the
    means agree, whatever the shapes: where b has a's mean and another shape (many small falls, few large rises) the
    sign-flip test alone is too sure. A p-value is the larger of theirs, an interval holds what either does not reject,
    and it holds 0 exactly if the difference is not significant. ``m`` prompts on which the two differ give no p-value
    below ``2^(1-m)``, so that fewer than six measured prompts have no 95% interval.

    A prompt that one of the two has not measured is left out of both, for that metric: a method whose hard prompts
    failed to be scored would gain by it. The order of the prompts does not matter, and exchanging a and b changes
    signs and nothing else.

    Args:
        numerators_a, denominators_a, numerators_b, denominators_b: [metrics, prompts], as in ``intervals``; column i is
            the same prompt in all four.
        confidence: Nominal coverage, between 0 and 1.

    Raises:
        ValueError: As in ``intervals``; a and b with different shapes.
    """
    return paired_macro_differences(
        [(numerators_a, denominators_a, numerators_b, denominators_b)], confidence=confidence
    )


def paired_difference(
    numerators_a: ArrayLike,
    denominators_a: ArrayLike,
    numerators_b: ArrayLike,
    denominators_b: ArrayLike,
    *,
    confidence: float = CONFIDENCE,
) -> Difference:
    """``paired_differences`` of one metric: all four are [prompts]."""
    return paired_macro_difference(
        [(numerators_a, denominators_a, numerators_b, denominators_b)], confidence=confidence
    )


def paired_macro_differences(groups: Sequence[Pair], *, confidence: float = CONFIDENCE) -> list[Difference]:
    """The macro-average of b less that of a: signs are flipped within each group (language), around its own difference.

    Args:
        groups: For each group the four arrays of ``paired_differences``, [metrics, prompts of the group]. As in
            ``macro_intervals``, a group without a prompt measured by both makes the metric ``undefined``.
        confidence: Nominal coverage, between 0 and 1.

    Raises:
        ValueError: As in ``paired_differences``; no groups; groups with different numbers of metrics.
    """
    return _differences(groups, 2, confidence)


def paired_macro_difference(groups: Sequence[Pair], *, confidence: float = CONFIDENCE) -> Difference:
    """``paired_macro_differences`` of one metric: the four arrays of each group are [prompts of the group]."""
    return _differences(groups, 1, confidence)[0]


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
        Benjamini and Hochberg (1995), Controlling the False Discovery Rate, JRSS B 57; by scipy.
    """
    p = np.asarray(p_values, dtype=float)
    if p.ndim != 1:
        raise ValueError(f"p_values must be [comparisons], given the shape {p.shape}")
    if ((p < 0) | (p > 1)).any():
        raise ValueError(f"p_values must be between 0 and 1 or NaN, given {p[(p < 0) | (p > 1)][0]}")
    if not 0 < q < 1:
        raise ValueError(f"q must be between 0 and 1, given {q!r}")
    adjusted = np.full(p.shape, np.nan)
    counted = ~np.isnan(p)
    if counted.any():
        adjusted[counted] = stats.false_discovery_control(p[counted])
    return adjusted, adjusted <= q


def _differences(groups: Sequence[Pair], dimensions: int, confidence: float) -> list[Difference]:
    check_confidence(confidence)
    strata, sides = _oriented(check_groups([_shared(*group, dimensions=dimensions) for group in groups]))
    own = np.array([estimate(stratum.sum(axis=-1)) for stratum in strata])
    found = [signflip.scores(stratum) for stratum in strata]
    given = found[0] if len(found) == 1 else signflip.combined(found, own)
    values = own.mean(axis=0)
    known = np.flatnonzero(np.isfinite(values))
    low, high, above, below, errors = (np.full(len(values), np.nan) for _ in range(5))
    part, centre = signflip.Scores(given.alpha[known], given.beta[known]), values[known]
    low[known], high[known] = signflip.bounds(part, centre, 1 - confidence)
    above[known], below[known] = signflip.tail(part.alpha), signflip.tail(-part.alpha)
    errors[known] = _standard_errors(part, centre, len(strata))
    freedom = np.count_nonzero(part.beta > 0, axis=-1) - len(strata)
    moments = skewness.Moments.of(part.at(centre), errors[known], freedom)
    wide, tails = moments.bounds(centre, 1 - confidence), moments.tails(centre)
    low[known], high[known] = np.minimum(low[known], wide[0]), np.maximum(high[known], wide[1])
    above[known], below[known] = np.maximum(above[known], tails[0]), np.maximum(below[known], tails[1])
    prompts = np.sum([np.count_nonzero(stratum[:, 1] > 0, axis=-1) for stratum in strata], axis=0)
    return [
        _difference(sides[m], float(values[m]), (float(low[m]), float(high[m])), (float(above[m]), float(below[m])),
                    float(errors[m]), int(prompts[m]), confidence)
        for m in range(len(values))
    ]  # fmt: skip


def _standard_errors(given: signflip.Scores, values: np.ndarray, groups: int) -> np.ndarray:
    """[metrics]; NaN where 0 or of a single prompt. Scores of several groups are stretched already."""
    n = np.count_nonzero(given.beta > 0, axis=-1)
    stretch = n / np.maximum(n - 1, 1) if groups == 1 else np.ones(len(n))
    total = given.beta.sum(axis=-1)
    centred = given.at(values)
    size = np.abs(given.alpha).max(axis=-1, initial=0.0)
    centred = np.where(np.abs(centred) <= 1e-12 * size[:, None], 0.0, centred)
    errors = np.sqrt(stretch * (centred**2).sum(axis=-1)) / np.where(total > 0, total, np.nan)
    return np.where((errors > 0) & (n > 1), errors, np.nan)


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


def _difference(
    side: int,
    value: float,
    bounds: tuple[float, float],
    tails: tuple[float, float],
    error: float,
    prompts: int,
    confidence: float,
) -> Difference:
    low, high = bounds
    above, below = tails
    if side < 0:
        value, low, high, above, below = -value, -high, -low, below, above
    elif side == 0 and not math.isnan(value):
        # The two are the same but for the order of the prompts: exactly 0, and the bounds are as far from it.
        value, low, high = 0.0, (low - high) / 2, (high - low) / 2
        above = below = max(above, below)
    detectable = minimum_detectable_difference(error)
    if math.isnan(value):
        nothing = Interval(value, math.nan, math.nan, "undefined", prompts, 0, confidence, "no prompt has it in both")
        return Difference(nothing, math.nan, math.nan, math.nan, False)
    p, level = min(1.0, 2 * min(above, below)), 1 - confidence
    if not (math.isfinite(low) and math.isfinite(high)):
        reason = f"{prompts} prompt{'s' * (prompts != 1)}: too few for an interval of a difference"
        interval = Interval(value, math.nan, math.nan, "degenerate", prompts, 0, confidence, reason)
    else:
        # Shares of prompts: the test at 0 has ties that it has at no shift beside it. The two are made to agree.
        if p >= level:
            low, high = min(low, 0.0), max(high, 0.0)
        elif low <= 0 <= high:
            p = level
        same = above == below == 1
        method, reason = ("degenerate", "no prompt differs") if same else (SIGN_FLIP, "")
        interval = Interval(value, low, high, method, prompts, 0, confidence, reason)
    return Difference(interval, p, error, detectable, p < level, above, below)
