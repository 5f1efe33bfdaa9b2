"""Choosing the coefficient: the largest one that leaves the model fluent, found with few evaluations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...core.errors import DetoxbenchError

TOLERANCE = 0.05
"""Relative: how close to the largest admissible coefficient the search comes."""
EVALUATIONS = 10
LARGEST = 64.0
SMALLEST = 1 / 64


@dataclass(frozen=True)
class Choice:
    """What the search found.

    Args:
        coefficient: the largest one tried whose ratio is within bounds.
        curve: ``(coefficient, ratio)`` of every point tried, by coefficient; 0 has ratio 1 and is not tried.
    """

    coefficient: float
    curve: Sequence[tuple[float, float]]


def choose(
    ratio_at: Callable[[float], float],
    bound: float,
    *,
    start: float = 1.0,
    tolerance: float = TOLERANCE,
    evaluations: int = EVALUATIONS,
) -> Choice:
    """The largest coefficient whose perplexity is at most ``bound`` times the base model's.

    Log perplexity grows about quadratically from the base (which lies near a minimum), so log coefficient against log
    of log ratio is close to a line: one point gives the next guess by that law, two enclose the bound, and the secant
    between them (Illinois variant) closes in. Smooth curves take three to five evaluations.

    Args:
        ratio_at: coefficient -> perplexity over the base model's.
        bound: above 1.
        start: where to begin.
        tolerance: stop once the coefficient is known this closely, relative.
        evaluations: at most so many.

    Raises:
        DetoxbenchError: where even a very small coefficient is beyond the bound.
    """
    if not bound > 1:
        raise DetoxbenchError(f"max_perplexity_ratio={bound}: it must be above 1")
    target = math.log(bound)
    curve: list[tuple[float, float]] = []
    low: tuple[float, float] | None = None
    high: tuple[float, float] | None = None
    at, side = start, 0
    while len(curve) < evaluations:
        ratio = ratio_at(at)
        curve.append((at, ratio))
        excess = math.log(ratio) / target if ratio > 0 and math.isfinite(ratio) else math.inf
        # Position on the line, 0 at the bound; a model that became more fluent counts as far below it.
        height = math.log(max(min(excess, 1e6), 1e-3))
        if excess <= 1:
            low = (at, height)
            high = (high[0], high[1] / 2) if high and side < 0 else high
            side = -1
        else:
            high = (at, height)
            low = (low[0], low[1] / 2) if low and side > 0 else low
            side = 1
        if low and ((excess <= 1 and height > 2 * math.log1p(-tolerance)) or at >= LARGEST):
            break
        if low and high:
            if high[0] <= low[0] * (1 + tolerance):
                break
            at = _between(low, high, tolerance)
        elif low:
            at = min(max(at * math.exp(-height / 2) * (1 + tolerance / 2), at * 1.25), at * 4, LARGEST)
        else:
            if at <= SMALLEST:
                break
            at = max(min(at * math.exp(-height / 2), at / 1.25), at / 8, SMALLEST)
    if low is None:
        raise DetoxbenchError(
            f"even coefficient {at:.3g} raises perplexity to {curve[-1][1]:.3g} times the base model's, above {bound}: "
            "the fine-tuned models lie too far from it; train them less, or allow a larger --max-perplexity-ratio"
        )
    return Choice(low[0], tuple(sorted(curve)))


def _between(low: tuple[float, float], high: tuple[float, float], tolerance: float) -> float:
    """Where the line through two points crosses the bound, a little on the safe side, well inside them."""
    width = math.log(high[0] / low[0])
    share = -low[1] / (high[1] - low[1]) if high[1] > low[1] else 0.5
    share -= tolerance / 2 / width
    return low[0] * math.exp(width * min(max(share, 0.1), 0.9))
