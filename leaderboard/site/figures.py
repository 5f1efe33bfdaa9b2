"""Numbers as people read them: one precision a column, the interval beside the value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

NONE = "–"
UNBOUNDED = "(no interval)"


def places(values: Iterable[float | None]) -> int:
    """Decimals that a column of values is shown with, by its largest."""
    largest = max((abs(value) for value in values if value is not None), default=0.0)
    return 0 if largest >= 1000 else 1 if largest >= 10 else 3


def number(value: float | None, digits: int) -> str:
    """With a minus sign, not a hyphen."""
    return NONE if value is None else f"{value:.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int) -> str:
    """A change: with its sign."""
    return ("+" if value is not None and value > 0 else "") + number(value, digits)


def estimate(triple: Sequence[float | None], digits: int) -> str:
    """``0.512 [0.470, 0.553]``, and in words where there is a value and no interval."""
    value, low, high = triple
    return number(value, digits) if value is None else f"{number(value, digits)} {bounds(low, high, number, digits)}"


def bounds(low: float | None, high: float | None, show: Callable[[float | None, int], str], digits: int) -> str:
    """``[0.470, 0.553]``, or that there is none."""
    return UNBOUNDED if low is None or high is None else f"[{show(low, digits)}, {show(high, digits)}]"
