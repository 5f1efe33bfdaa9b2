"""Numbers as people read them: one precision a column, the interval beside the value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NONE = "–"


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
    """``0.512 [0.470, 0.553]``; the value alone where there is no interval."""
    value, low, high = triple
    if value is None or low is None or high is None:
        return number(value, digits)
    return f"{number(value, digits)} [{number(low, digits)}, {number(high, digits)}]"
