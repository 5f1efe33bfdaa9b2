"""What a run changes against its base, and that a difference without an interval is shown as one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ...core.constants import CONFIDENCE
from ...core.statistics import Difference, benjamini_hochberg

MACRO = "macro"


@dataclass(frozen=True)
class Change:
    """Of a metric against the base.

    Args:
        value: the difference; None where it was not measured.
        low, high: its bounds; None where there is no interval.
        p: of no difference, adjusted over languages; None where there was no test.
        reason: why there is no interval.
    """

    value: float | None
    low: float | None
    high: float | None
    p: float | None
    reason: str = ""

    @property
    def numbers(self) -> tuple[float | None, float | None, float | None, float | None]:
        """Without the reason."""
        return self.value, self.low, self.high, self.p

    @property
    def significant(self) -> bool:
        """At 5%."""
        return self.p is not None and self.p < 1 - CONFIDENCE


def change_of(found: Difference) -> Change:
    """Bounds that say nothing of the uncertainty, as where no prompt differs, are none."""
    one = found.interval
    known = one.method not in ("degenerate", "undefined")
    low, high = (finite(one.low), finite(one.high)) if known else (None, None)
    return Change(finite(one.value), low, high, finite(found.p_value), one.reason)


def finite(number: float) -> float | None:
    """None for NaN and the infinities."""
    return number if math.isfinite(number) else None


def adjust(changes: dict[str, Change]) -> None:
    """Correct the p-values of languages (Benjamini and Hochberg 1995); the macro-average's stays as it is."""
    languages = [scope for scope in changes if scope != MACRO]
    adjusted, _ = benjamini_hochberg([math.nan if (p := changes[scope].p) is None else p for scope in languages])
    for scope, p in zip(languages, adjusted.tolist(), strict=True):
        changes[scope] = replace(changes[scope], p=finite(p))
