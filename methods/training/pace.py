"""How long a training will take, said after its first updates."""

from __future__ import annotations

import time
from collections.abc import Callable

from . import work

SKIPPED, MEASURED = 1, 3
"""Updates that are not measured, since the first one takes longer; and those that are."""
WORTH_SAYING = 60.0
"""Seconds; of less there is no line."""


class Pace:
    """To be told of each update.

    Args:
        name: of what is trained.
        total: updates.
        done: before this process began.
        clock: in seconds.
    """

    def __init__(self, name: str, total: int, done: int = 0, clock: Callable[[], float] = time.perf_counter):
        self.name, self.total, self.done, self._clock = name, total, done, clock
        self._first, self._start = done + SKIPPED, 0.0

    def update(self) -> None:
        self.done += 1
        if self.done == self._first:
            self._start = self._clock()
        elif self.done == self._first + MEASURED:
            left = self.total - self.done
            seconds = (self._clock() - self._start) / MEASURED * left
            if seconds >= WORTH_SAYING:
                work.say(f"{self.name}: about {duration(seconds)} for the other {left:,} updates")


def duration(seconds: float) -> str:
    """In words, to two figures.

    >>> duration(95), duration(754), duration(7_300), duration(200_000)
    ('2 min', '13 min', '2.0 h', '2.3 days')
    """
    if seconds < 5_400:
        return f"{max(1, round(seconds / 60))} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"
