"""Numbers side by side, and how a problem with one is said."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..metric_names import metric_of
from ..metrics import METRICS

AGREE = 1e-6
"""Relative and absolute difference of two numbers that are taken to be the same: far above rounding, far below any
interval's width."""

ENOUGH = 5
"""Problems of one kind that are spelled out; the others are counted."""

Pair = tuple[float, float]


def bounds_of(name: str) -> Pair:
    metric = METRICS.get(metric_of(name))
    return metric.bounds if metric is not None else (-math.inf, math.inf)


def within(value: float, bounds: Pair) -> bool:
    return math.isfinite(value) and bounds[0] - slack(bounds[0]) <= value <= bounds[1] + slack(bounds[1])


def range_of(bounds: Pair) -> str:
    if math.isinf(bounds[0]) and math.isinf(bounds[1]):
        return "finite"
    return f"at least {bounds[0]:g}" if math.isinf(bounds[1]) else f"between {bounds[0]:g} and {bounds[1]:g}"


def slack(value: float) -> float:
    return AGREE * max(1.0, abs(value)) if math.isfinite(value) else 0.0


def agree(one: float, other: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return abs(one - other) <= AGREE * max(1.0, abs(one), abs(other))


def figure(value: float) -> str:
    return "not measured" if math.isnan(value) else f"{value:.6g}"


def ratio_of(pair: Pair) -> str:
    return f"{pair[0]:.6g} / {pair[1]:.6g}"


def some(lines: Iterable[str]) -> list[str]:
    every = list(lines)
    more = [f"and {len(every) - ENOUGH} more like it"] if len(every) > ENOUGH else []
    return every[:ENOUGH] + more


def shown(value: object, longest: int = 120) -> str:
    """Text of a file in one line of bounded length, control and direction marks escaped."""
    text = str(value)
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text[:longest]
    )
    return shown if len(text) <= longest else f"{shown}…"
