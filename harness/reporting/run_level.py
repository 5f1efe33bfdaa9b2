"""What a method costs and what the model can still do, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ...core.metrics import run_level

Estimates = Mapping[str, Sequence[float | None]]
"""Metric of a run -> value, lower and upper bound; None where there is none."""


def line(found: Estimates) -> str:
    """``latency × 1.92 [1.88, 1.95], passes 3.00, …``: exact numbers without bounds."""
    return ", ".join(f"{column(name)} {text(name, found[name])}" for name in run_level.in_order(found))


def names(found: Estimates) -> list[str]:
    """In the order of tables."""
    return run_level.in_order(found)


def column(name: str) -> str:
    """Of a metric."""
    metric = run_level.describe(name)
    return name if metric is None else metric.column


def text(name: str, estimate: Sequence[float | None]) -> str:
    """A number with its interval, where it has one."""
    value, low, high = estimate
    metric = run_level.describe(name)
    digits = 2 if metric is None else metric.digits
    if value is None or math.isnan(value):
        return "–"
    if low is None or high is None or low == high:
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
