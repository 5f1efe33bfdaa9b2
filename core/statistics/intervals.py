"""Intervals of one method's metrics: in one language, and averaged over languages."""

from __future__ import annotations

import numbers
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..constants import BOOTSTRAP_SEED, CONFIDENCE, RESAMPLES
from .bootstrap import Interval, bootstrap, canonical
from .shares import is_share, share_interval


def intervals(
    numerators: ArrayLike,
    denominators: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = BOOTSTRAP_SEED,
) -> list[Interval]:
    """Intervals of ``sum(numerators) / sum(denominators)`` for several metrics on the same prompts.

    BCa bootstrap over prompts, its tails expanded for few of them; where numerators and denominators are counts, the
    exact binomial interval of the effective sample size (``shares``), which stays honest where next to nothing was
    seen. Fewer than five prompts (two, for counts) have a value and no bounds.

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
        One interval a metric.

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
    """Intervals of macro-averages, as in ``intervals``: the unweighted mean over groups of the group's ratio.

    Prompts are resampled within each group, independently (stratified); the acceleration is that of stratified samples
    (``bootstrap.jackknife``). The order of the groups does not matter.

    A metric that was measured on no prompt of one of the groups is ``undefined``: the mean over the other groups is
    another quantity. Leave the group out of ``groups`` to get that one. A group with a single measured prompt, whose
    spread is unknown, makes it ``degenerate``.

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
    return _intervals(groups, 2, resamples, confidence, seed)


def macro_interval(
    groups: Sequence[tuple[ArrayLike, ArrayLike]],
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = BOOTSTRAP_SEED,
) -> Interval:
    """``macro_intervals`` of one metric: each group is ``(numerators, denominators)``, both [prompts of the group]."""
    return _intervals(groups, 1, resamples, confidence, seed)[0]


def _intervals(
    groups: Sequence[tuple[ArrayLike, ArrayLike]], dimensions: int, resamples: int, confidence: float, seed: int
) -> list[Interval]:
    check_options(resamples, confidence, seed)
    strata = canonical(check_groups([ratio_rows(*group, dimensions=dimensions) for group in groups]))
    metrics = range(strata[0].shape[0])
    found = {m: share_interval(parts, confidence) for m in metrics if is_share(parts := [s[m] for s in strata])}
    rest = [m for m in metrics if m not in found]
    if rest:
        drawn = bootstrap([stratum[rest] for stratum in strata], resamples=resamples, seed=seed)
        found |= {m: metric.interval(confidence) for m, metric in zip(rest, drawn, strict=True)}
    return [found[m] for m in metrics]


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
    check_confidence(confidence)


def check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, such as 0.95, given {confidence!r}")
