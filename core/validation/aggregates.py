"""The results of a task beside its rows: values that follow from them, and intervals as wide as they must be.

Intervals are not drawn again, which takes ten seconds where there are 10,000 prompts. One that claims to know more than
the rows can tell gives itself away beside the plain one of a ratio (Cochran 1977, Sampling Techniques, section 6.3):
ours are from 0.93 times to ten times as wide, whatever the distribution.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from ..constants import CONFIDENCE
from ..metric_names import HIGH, LOW, metric_of
from ..metrics import METRICS
from ..results import TaskResult
from ..statistics.shares import is_share, share_interval
from .wording import AGREE, Pair, agree, figure, shown

LEAST_WIDTH = 0.75
"""Of the width that the rows give: an interval narrower than that was not computed from them."""


def aggregate_problems(task: TaskResult, names: Sequence[str], rows: Sequence[Mapping[str, Pair]]) -> list[str]:
    """Metrics in the results that the rows' numerators and denominators contradict."""
    found = []
    for name in names:
        pairs = np.array([row[name] for row in rows if name in row], dtype=float).reshape(-1, 2).T
        total = [math.fsum(side) for side in pairs]
        again = total[0] / total[1] if total[1] > 0 else math.nan
        value = task.metrics.get(name, math.nan)
        if name not in task.metrics and metric_of(name) in METRICS and not math.isnan(again):
            found.append(f"{shown(name)} is no number in the results, and its samples give {figure(again)}")
        elif name in task.metrics and not agree(value, again):
            found.append(f"{shown(name)} is {figure(value)} in the results, and its samples give {figure(again)}")
        elif not math.isnan(again):
            low, high = (task.metrics.get(name + bound, math.nan) for bound in (LOW, HIGH))
            width = width_of(pairs)
            if high - low < LEAST_WIDTH * width - AGREE * max(1.0, abs(again)):
                found.append(
                    f"the interval of {shown(name)}, [{low:.6g}, {high:.6g}], is narrower than its samples allow: "
                    f"about {width:.3g} wide"
                )
    return found


def width_of(pairs: np.ndarray) -> float:
    """The width of the 95% interval of a ratio of sums: exact for shares, else by its standard error.

    Args:
        pairs: [2, prompts], numerators and denominators; a denominator is above 0.

    >>> round(width_of(np.array([[0.2, 0.4, 0.6], [1.0, 1.0, 1.0]])), 3)
    0.453
    """
    pairs = pairs[:, pairs[1] > 0]
    prompts = pairs.shape[1]
    if prompts < 2 or not np.isfinite(pairs).all():
        return 0.0
    if is_share([pairs]):
        found = share_interval([pairs], CONFIDENCE)
        return found.high - found.low
    top, bottom = pairs
    left = top - bottom * (top.sum() / bottom.sum())
    error = math.sqrt(prompts / (prompts - 1) * float(left @ left)) / float(bottom.sum())
    return 2 * float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * error
