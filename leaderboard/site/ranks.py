"""Who is better than whom, and who only seems so: shared ranks, changes against a base, the Pareto front.

A *group* is one language: numerators and denominators, both [rows, prompts], of the same prompts in every row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np

from ...core.constants import CONFIDENCE
from ...core.statistics import Difference, Interval, minimum_detectable_difference, paired_macro_differences

Group = tuple[np.ndarray, np.ndarray]
"""Numerators and denominators, each [rows, prompts]."""
Test = Callable[[Sequence[Group], int | Sequence[int], Sequence[int]], list[Difference]]

MANY = 60
"""Rows from which differences are tested by the normal approximation: the sign-flip test of thousands of pairs in each
of many languages, with its bounds, would take minutes, and the site says which of the two it was."""
LARGE = 150_000
"""Rows times prompts from which they are, too: with thousands of prompts the two agree."""
TOGETHER = 64
"""Pairs compared at once: so many scores are held in memory together."""
AHEAD = 16
"""Rows compared with the best of a tie at once, in one pass over the arrays."""


def values(groups: Sequence[Group]) -> np.ndarray:
    """Macro-averages [rows]; NaN where a row has no measurement in one of the groups."""
    return np.mean([_ratio(numerators, denominators) for numerators, denominators in groups], axis=0)


def _ratio(numerators: np.ndarray, denominators: np.ndarray) -> np.ndarray:
    total = denominators.sum(axis=-1)
    ratio = np.full(total.shape, np.nan)
    return np.divide(numerators.sum(axis=-1), total, out=ratio, where=total > 0)


def exact(groups: Sequence[Group], one: int | Sequence[int], others: Sequence[int]) -> list[Difference]:
    """What each of the rows ``others`` changes against ``one`` row, or each against its own: the sign-flip test on the
    prompts that both measured, stratified by group (``core.statistics.signflip``)."""
    chosen = list(others)
    first = _each(one, chosen)
    found: list[Difference] = []
    for start in range(0, len(chosen), TOGETHER):
        a, b = first[start : start + TOGETHER], chosen[start : start + TOGETHER]
        found += paired_macro_differences([(n[a], d[a], n[b], d[b]) for n, d in groups])
    return found


def approximated(groups: Sequence[Group], one: int | Sequence[int], others: Sequence[int]) -> list[Difference]:
    """``exact`` by a normal approximation, many times faster.

    The variance of a ratio's difference is that of the mean of its prompts' influences (delta method; Davison and
    Hinkley 1997, section 2.7), and that of a macro-average the sum over groups over the square of their number.
    """
    chosen = list(others)
    first = _each(one, chosen)
    change, variance = np.zeros(len(chosen)), np.zeros(len(chosen))
    prompts, unlike = np.zeros(len(chosen), dtype=int), np.zeros(len(chosen), dtype=int)
    for numerators, denominators in groups:
        shared = (denominators[chosen] > 0) & (denominators[first] > 0)
        sides = []
        for n, d in ((numerators[first], denominators[first]), (numerators[chosen], denominators[chosen])):
            n, d = np.where(shared, n, 0.0), np.where(shared, d, 0.0)
            total = d.sum(axis=-1)
            ratio = np.full(total.shape, np.nan)
            np.divide(n.sum(axis=-1), total, out=ratio, where=total > 0)
            sides.append((ratio, (n - ratio[:, None] * d) / np.where(total > 0, total, np.nan)[:, None]))
        count = shared.sum(axis=-1)
        influence = sides[1][1] - sides[0][1]
        change += sides[1][0] - sides[0][0]
        variance += (influence**2).sum(axis=-1) * count / np.maximum(count - 1, 1)
        prompts += count
        apart = (numerators[chosen] != numerators[first]) | (denominators[chosen] != denominators[first])
        unlike += (apart & shared).sum(axis=-1)
    change, error = change / len(groups), np.sqrt(variance) / len(groups)
    normal = NormalDist()
    reach, detectable = normal.inv_cdf((1 + CONFIDENCE) / 2), minimum_detectable_difference(1.0)
    found = []
    for value, se, n, m in zip(change.tolist(), error.tolist(), prompts.tolist(), unlike.tolist(), strict=True):
        if math.isnan(value) or math.isnan(se):
            p = math.nan
        else:
            p = 2 * normal.cdf(-abs(value) / se) if se > 0 else float(value == 0)
            p = min(1.0, max(p, 2.0 ** (1 - m)))  # no less than the exact test of m unlike prompts can give
        interval = _normal(value, reach * se, n, m)
        found.append(Difference(interval, p, se, se * detectable, p < 1 - CONFIDENCE))
    return found


def _normal(value: float, reach: float, prompts: int, unlike: int) -> Interval:
    """The interval, with the same limits as the exact test's."""
    if math.isnan(value):
        return Interval(value, math.nan, math.nan, "undefined", prompts, 0, CONFIDENCE, "no prompt has it in both")
    if 2.0 ** (1 - prompts) > 1 - CONFIDENCE:
        reason = f"{prompts} prompt{'s' * (prompts != 1)}: too few for an interval of a difference"
        return Interval(value, math.nan, math.nan, "degenerate", prompts, 0, CONFIDENCE, reason)
    if not unlike:
        return Interval(value, value, value, "degenerate", prompts, 0, CONFIDENCE, "no prompt differs")
    return Interval(value, value - reach, value + reach, "normal", prompts, 0, CONFIDENCE)


def _each(one: int | Sequence[int], others: Sequence[int]) -> list[int]:
    return [one] * len(others) if isinstance(one, int) else list(one)


def test_for(rows: int, prompts: int) -> Test:
    """The test that a table of that many rows uses."""
    return exact if rows <= MANY and rows * prompts <= LARGE else approximated


def shared_ranks(
    groups: Sequence[Group],
    *,
    higher_is_better: bool = False,
    skip: Sequence[int] = (),
    test: Test | None = None,
) -> list[int | None]:
    """Ranks [rows] from 1; rows that do not differ significantly share one.

    Down the order of values, a row shares the rank of the best row of the tie before it unless the two differ
    significantly (paired, at 5%, not corrected for the number of rows); the first row that does opens the next rank,
    which is its place in the order. A row without a value, and a row of ``skip``, has none.
    """
    means = values(groups)
    ranks: list[int | None] = [None] * len(means)
    left_out = set(skip)
    order = np.argsort(-means if higher_is_better else means, kind="stable").tolist()
    order = [row for row in order if not math.isnan(means[row]) and row not in left_out]
    differs = test or test_for(len(order), sum(n.shape[1] for n, _ in groups))
    place = 0
    while place < len(order):
        best, end = order[place], place + 1
        while end < len(order):
            ahead = order[end : end + AHEAD]
            apart = [bool(found.significant) for found in differs(groups, best, ahead)]
            step = apart.index(True) if any(apart) else len(ahead)
            end += step
            if step < len(ahead):
                break
        for row in order[place:end]:
            ranks[row] = place + 1
        place = end
    return ranks


def undominated(estimates: np.ndarray) -> list[bool]:
    """Which runs nobody surely beats. Surely better or worse means that the intervals do not meet; another run beats
    one if it is surely better in some metric and surely worse in none.

    Args:
        estimates: value, lower and upper bound, [rows, metrics, 3], less being better; a row with a NaN is not on
            the front and beats nobody.
    """
    low, high = estimates[..., 1], estimates[..., 2]
    known: np.ndarray = np.logical_not(np.isnan(estimates).any(axis=(1, 2)))
    found = []
    for row in range(len(estimates)):
        better = np.any(high < low[row], axis=1)
        worse = np.any(low > high[row], axis=1)
        found.append(bool(known[row]) and not np.any(known & better & ~worse))
    return found


def pareto_front(first: Sequence[float | None], second: Sequence[float | None]) -> list[bool]:
    """Which points no other point beats in both values, less being better; one without both values is not on it."""
    points = [
        (a, b, row)
        for row, (a, b) in enumerate(zip(first, second, strict=True))
        if a is not None and b is not None and math.isfinite(a) and math.isfinite(b)
    ]
    front = [False] * len(first)
    least, at = math.inf, math.nan
    for a, b, row in sorted(points):
        # Equal points are on the front together.
        if b < least or (b == least and a == at):
            front[row] = True
            least, at = b, a
    return front
