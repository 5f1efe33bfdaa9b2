"""Intervals of one method's metrics: in one language, and averaged over languages."""

from __future__ import annotations

import numbers
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..constants import BOOTSTRAP_SEED, CONFIDENCE, RESAMPLES
from .bootstrap import Interval, bootstrap, canonical


def intervals(
    numerators: ArrayLike,
    denominators: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = BOOTSTRAP_SEED,
) -> list[Interval]:
    """BCa bootstrap intervals of ``sum(numerators) / sum(denominators)`` for several metrics on the same prompts.

    The resamples are the same for all metrics and what comes out for one does not depend on the others, nor on the
    order of the prompts. A prompt without a measurement, ``(0, 0)``, is drawn like the others and contributes nothing:
    how many measured prompts there are is left to vary. A resample without any is left out, for that metric.

    Args:
        numerators: [metrics, prompts], finite.
        denominators: [metrics, prompts], finite, at least 0; 0 where the prompt was not measured.
        resamples: At least 2.
        confidence: Nominal coverage, between 0 and 1.
        seed: Of the generator; not negative.

    Returns:
        One interval a metric. BCa bounds need not enclose the value where the data are few and very skewed.

    Raises:
        ValueError: Shapes differ or are not two-dimensional; a value is not finite; a denominator is negative, or is
            0 under a numerator that is not; an option is out of its range.

    Sources:
        Efron (1987), Better Bootstrap Confidence Intervals, JASA 82; Efron and Tibshirani (1993), chapter 14.
    """
    return macro_intervals([(numerators, denominators)], resamples=resamples, confidence=confidence, seed=seed)


def interval(
    numerators: ArrayLike,
    denominators: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = BOOTSTRAP_SEED,
) -> Interval:
    """``intervals`` of one metric: ``numerators`` and ``denominators`` are [prompts].

    >>> interval([1, 0, 1], [1, 1, 1]).prompts
    3
    """
    return macro_interval([(numerators, denominators)], resamples=resamples, confidence=confidence, seed=seed)


def macro_intervals(
    groups: Sequence[tuple[ArrayLike, ArrayLike]],
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = BOOTSTRAP_SEED,
) -> list[Interval]:
    """BCa bootstrap intervals of macro-averages: the unweighted mean over groups of the group's ratio.

    Prompts are resampled within each group, independently (stratified); the acceleration is that of stratified samples
    (``bootstrap.accelerations``). The order of the groups does not matter.

    A metric that was measured on no prompt of one of the groups is ``undefined``: the mean over the other groups is
    another quantity. Leave the group out of ``groups`` to get that one. A group with a single measured prompt adds
    nothing to the width, since its spread is unknown.

    Args:
        groups: For each group (language) ``(numerators, denominators)``, both [metrics, prompts of the group], as in
            ``intervals``.
        resamples: At least 2.
        confidence: Nominal coverage, between 0 and 1.
        seed: Of the generator; not negative.

    Returns:
        One interval a metric; ``prompts`` counts over all groups.

    Raises:
        ValueError: As in ``intervals``; no groups; groups with different numbers of metrics.

    Sources:
        Davison and Hinkley (1997), Bootstrap Methods and their Application, sections 3.2 and 5.3.2.
    """
    check_options(resamples, confidence, seed)
    strata = canonical(check_groups([ratio_rows(*group, dimensions=2) for group in groups]))
    return [metric.interval(confidence) for metric in bootstrap(strata, resamples=resamples, seed=seed)]


def macro_interval(
    groups: Sequence[tuple[ArrayLike, ArrayLike]],
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = BOOTSTRAP_SEED,
) -> Interval:
    """``macro_intervals`` of one metric: each group is ``(numerators, denominators)``, both [prompts of the group]."""
    check_options(resamples, confidence, seed)
    strata = canonical(check_groups([ratio_rows(*group, dimensions=1) for group in groups]))
    return bootstrap(strata, resamples=resamples, seed=seed)[0].interval(confidence)


def ratio_rows(numerators: ArrayLike, denominators: ArrayLike, *, dimensions: int) -> np.ndarray:
    """The two checked and stacked: [metrics, 2, prompts]; with ``dimensions`` 1 they are one metric, [prompts]."""
    shape = "[metrics, prompts]" if dimensions == 2 else "[prompts]"
    arrays = []
    for name, values in (("numerators", numerators), ("denominators", denominators)):
        array = np.asarray(values, dtype=float)
        if array.ndim != dimensions:
            raise ValueError(f"{name} must be {shape}, given the shape {array.shape}")
        if not np.isfinite(array).all():
            where = np.argwhere(~np.isfinite(array))[0].tolist()
            raise ValueError(
                f"{name} must be finite, given {array[tuple(where)]} at {where}: "
                "a prompt that was not measured has numerator 0 and denominator 0"
            )
        arrays.append(np.atleast_2d(array))
    top, bottom = arrays
    if top.shape != bottom.shape:
        raise ValueError(f"numerators and denominators must have one shape, given {top.shape} and {bottom.shape}")
    if (bottom < 0).any():
        raise ValueError(f"denominators must be at least 0, given {bottom.min()}")
    if ((bottom == 0) & (top != 0)).any():
        given = top[(bottom == 0) & (top != 0)][0]
        raise ValueError(f"a denominator of 0 (not measured) needs a numerator of 0, given {given}")
    return np.stack([top, bottom], axis=1)


def check_groups(strata: list[np.ndarray]) -> list[np.ndarray]:
    if not strata:
        raise ValueError("groups must hold at least one group of prompts, given none")
    metrics = sorted({stratum.shape[0] for stratum in strata})
    if len(metrics) > 1:
        raise ValueError(f"every group must have the same metrics, given groups with {metrics} metrics")
    return strata


def check_options(resamples: int, confidence: float, seed: int) -> None:
    for name, given, least in (("resamples", resamples, 2), ("seed", seed, 0)):
        if not isinstance(given, numbers.Integral) or given < least:
            raise ValueError(f"{name} must be an integer of at least {least}, given {given!r}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, such as 0.95, given {confidence!r}")
