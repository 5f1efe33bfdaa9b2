"""Intervals of shares, honest at the edges: no toxic text seen is not no toxic text.

Where numerators count some of what denominators count (prompts, or generations of a prompt), a resample can only show
what the sample has, so that the bootstrap of a rare event is too narrow and of an unseen one has no width. The exact
binomial interval (Clopper and Pearson 1934) has neither fault; generations of a prompt are alike, so that it is taken
at the number of independent ones that tell as much: the effective sample size, from the variance between prompts, with
Student's correction for their number (Korn and Graubard 1998, Survey Methodology 24).

The variance of a rare event is itself hardly known: the design effect is shrunk towards the largest there is, all
generations of a prompt alike, with the weight of one prompt that has the event (or lacks it, if that is rarer).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from .bootstrap import Interval

SHARE = "share"


def is_share(groups: Sequence[np.ndarray]) -> bool:
    """Whether numerators count some of what denominators count: groups are [2, prompts]."""
    return all(
        bool((group == np.floor(group)).all() and (group[0] >= 0).all() and (group[0] <= group[1]).all())
        for group in groups
    )


def share_interval(groups: Sequence[np.ndarray], confidence: float) -> Interval:
    """The unweighted mean over groups of their shares, with its interval.

    Args:
        groups: numerators and denominators [2, prompts] of each; one group is an ordinary share.
        confidence: Nominal coverage.

    Returns:
        An interval of the method ``share``; ``degenerate`` where a group has a single prompt and the spread between
        prompts cannot be known, ``undefined`` where a group has none.
    """
    kept = [group[:, group[1] > 0] for group in groups]
    counts = np.array([group.shape[1] for group in kept])
    if not counts.all():
        return Interval(math.nan, math.nan, math.nan, "undefined", int(counts.sum()), 0, confidence, "not measured")
    totals = np.array([group[1].sum() for group in kept])
    shares = np.array([group[0].sum() for group in kept]) / totals
    value, prompts = float(shares.mean()), int(counts.sum())
    if counts.min() < 2:
        where = "one prompt" if len(kept) == 1 else "a group has a single prompt"
        reason = f"{where}, whose spread is unknown"
        return Interval(value, math.nan, math.nan, "degenerate", prompts, 0, confidence, reason)
    size = _effective(kept, shares, counts, totals, confidence)
    low, high = clopper_pearson(value * size, size, confidence)
    return Interval(value, min(low, value), max(high, value), SHARE, prompts, 0, confidence)


def clopper_pearson(successes: float, trials: float, confidence: float) -> tuple[float, float]:
    """The exact interval of a binomial share; neither needs to be a whole number.

    >>> [round(bound, 4) for bound in clopper_pearson(0, 40, 0.95)]
    [0.0, 0.0881]
    """
    tail, failures = (1 - confidence) / 2, trials - successes
    # What is left of rounding is no success.
    low = 0.0 if successes <= 1e-9 * trials else float(stats.beta.ppf(tail, successes, failures + 1))
    high = 1.0 if failures <= 1e-9 * trials else float(stats.beta.ppf(1 - tail, successes + 1, failures))
    return low, high


def _effective(
    groups: Sequence[np.ndarray], shares: np.ndarray, counts: np.ndarray, totals: np.ndarray, confidence: float
) -> float:
    """Independent observations that would tell as much about the mean share."""
    units = len(groups) ** 2 / float((1 / totals).sum())
    clusters = len(groups) ** 2 / float((1 / counts).sum())
    largest = units / clusters
    if len(groups) == 1 and largest == 1:
        return units  # one observation a prompt: binomial as it is
    variances = np.array([
        float(((n - share * d) ** 2).sum() / d.sum() ** 2 * len(n) / (len(n) - 1))
        for (n, d), share in zip(groups, shares, strict=True)
    ])  # fmt: skip
    value = float(shares.mean())
    spread = value * (1 - value)
    variance = float(variances.sum()) / len(groups) ** 2
    events = min(sum(int((n > 0).sum()) for n, _ in groups), sum(int((n < d).sum()) for n, d in groups))
    effect = variance * units / spread if spread > 0 else largest
    effect = (events * effect + largest) / (events + 1)
    weighted = float((variances**2 / (counts - 1)).sum())
    freedom = float(variances.sum()) ** 2 / weighted if weighted > 0 else float((counts - 1).sum())
    tail = (1 - confidence) / 2
    student = float(stats.norm.isf(tail)) / float(stats.t.isf(tail, freedom))
    return units / effect * student**2
