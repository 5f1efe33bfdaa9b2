"""The median of a few repeated measurements, with an interval that needs no distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..constants import CONFIDENCE
from .bootstrap import Interval

FEW = "fewer measurements than an interval of their order statistics needs"


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Median, and the innermost pair of order statistics that has it with at least this confidence.

    The number of values below the median is binomial with p = 1/2 whatever their distribution (Thompson 1936; Conover
    1999, section 3.2), so that the k-th smallest and the k-th largest hold it with probability
    ``1 - 2 P(Bin(n, 1/2) < k)``. Six values are needed for 95%.

    Args:
        values: independent measurements; NaN is left out.
    """
    found = np.sort([value for value in values if not math.isnan(value)])
    n = len(found)

    def interval(low: float, high: float, method: str, reason: str = "") -> Interval:
        return Interval(middle, low, high, method, n, 0, confidence, reason)

    if n == 0:
        middle = math.nan
        return interval(math.nan, math.nan, "undefined", "nothing was measured")
    middle = float(np.median(found))
    tail, k = 0.0, 0
    while k < n // 2:
        tail += math.comb(n, k) / 2**n
        if 1.0 - 2.0 * tail < confidence:
            break
        k += 1
    if k == 0:
        return interval(math.nan, math.nan, "degenerate", FEW)
    return interval(float(found[k - 1]), float(found[n - k]), "order-statistics")
