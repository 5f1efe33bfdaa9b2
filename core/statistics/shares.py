"""Intervals of shares, honest at the edges: no toxic text seen is not no toxic text.

Where numerators count some of what denominators count (prompts, or generations of a prompt), a resample can only show
what the sample has, so that the bootstrap of a rare event is too narrow and of an unseen one has no width. An exact
binomial interval has neither fault. That of prompts is Blaker's (2000, Canadian Journal of Statistics 28), which lies
within Clopper and Pearson's (1934) and covers 95% as well; where it covers more than 97%, nothing that covers 95%
covers less (``benchmarks/coverage.py``). Generations of a prompt are alike, so that theirs is Clopper and Pearson's at
the number of independent ones that tell as much: the effective sample size, from the variance between prompts, with
Student's correction for their number (Korn and Graubard 1998, Survey Methodology 24).

The variance of a rare event is itself hardly known: the design effect is shrunk towards the largest there is, all
generations of a prompt alike, with the weight of one prompt that has the event (or lacks it, if that is rarer).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import stats

from .bootstrap import Interval

SHARE = "share"

STEPS = 128
"""Into which the search for a bound divides its range, twice."""


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
    if len(kept) == 1 and totals[0] == counts[0]:  # one observation a prompt: binomial as it is
        low, high = blaker(int(kept[0][0].sum()), prompts, confidence)
    else:
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


@lru_cache(maxsize=4096)
def blaker(successes: int, trials: int, confidence: float) -> tuple[float, float]:
    """The exact interval of a binomial share with the shares that are not less acceptable than all but 5% of counts.

    A share is as acceptable as counts no likelier than this one are probable: its nearer tail, and as much of the other
    tail as has no more probability (eq. 3). Bounds are rounded outwards, by less than 1/10,000 of
    the way from Clopper and Pearson's to the estimate.

    >>> [round(bound, 4) for bound in blaker(0, 40, 0.95)]
    [0.0, 0.0795]
    """
    low, high = clopper_pearson(successes, trials, confidence)
    value = successes / trials
    if successes > 0:
        low = _inwards(successes, trials, low, value, confidence)
    if successes < trials:
        high = 1 - _inwards(trials - successes, trials, 1 - high, 1 - value, confidence)
    return low, high


def _inwards(successes: int, trials: int, outer: float, value: float, confidence: float) -> float:
    """The lower bound: the least share between ``outer`` and ``value`` that is acceptable."""
    for _ in range(2):
        shares = np.linspace(outer, value, STEPS + 1)
        upper = stats.binom.sf(successes - 1, trials, shares)
        # The largest count whose lower tail has no more probability than the upper one.
        other = stats.binom.ppf(np.minimum(upper * (1 + 1e-12), 1.0), trials, shares)
        other -= stats.binom.cdf(other, trials, shares) > upper * (1 + 1e-12)
        first = int(np.argmax(upper + stats.binom.cdf(other, trials, shares) > 1 - confidence))
        outer, value = float(shares[max(first - 1, 0)]), float(shares[first])
    return outer


def _effective(
    groups: Sequence[np.ndarray], shares: np.ndarray, counts: np.ndarray, totals: np.ndarray, confidence: float
) -> float:
    """Independent observations that would tell as much about the mean share."""
    units = len(groups) ** 2 / float((1 / totals).sum())
    clusters = len(groups) ** 2 / float((1 / counts).sum())
    largest = units / clusters
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
