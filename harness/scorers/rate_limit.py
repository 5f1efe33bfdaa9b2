"""Holds a quota of queries per second, whatever the latency and whatever the wall clock does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

WINDOW = 1.0
"""Seconds that a quota is counted over."""

MARGIN = 0.001
"""Seconds added to the window, for the resolution of two clocks."""

SLACK = 0.04
"""Seconds that a token may be held beyond the window, waiting for its answer: 1 / 1.04 = 96% use at worst."""

PACE = 0.9
"""Takers are kept this share of their even spacing apart: no bursts, and a tenth of speed to catch up with."""

POLL = 0.02
"""Longest sleep, in seconds: an answer may free a token earlier than was known when the sleep began."""


class StoppedError(Exception):
    """Somebody who waits for tokens need not wait any longer."""


class Grant:
    """Tokens taken: a context manager around the request, so that the limiter knows when it was answered."""

    def __init__(self, limiter: RateLimiter, tokens: int, sent: float):
        self.limiter = limiter
        self.tokens = tokens
        self.returns = sent + WINDOW + SLACK
        """When the tokens come back, on the limiter's clock, in seconds."""

    def __enter__(self) -> Grant:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        # Only an answer shows that the server has counted the request; a broken connection shows nothing.
        if error is None:
            self.returns = min(self.returns, self.limiter.clock() + WINDOW + MARGIN)


class RateLimiter:
    """A bucket of ``qps`` tokens, each of which comes back one second after the request that took it was counted.

    A bucket refilled at a steady rate lets up to twice its size through in one second. Here a token comes back one
    second after its answer arrived, when the server has certainly counted the request, so that no one-second window
    on the server's clock can hold more than ``qps`` of them; but at the latest ``WINDOW + SLACK`` after it was sent,
    so that slow answers cost at most 4% of the quota. Then the quota still holds if the way to the server varies by
    less than ``SLACK``.

    Args:
        qps: queries per second, 1 to 1,000.
        clock: seconds, monotonic: the wall clock may jump.
        sleep: waits that many seconds.
    """

    def __init__(
        self, qps: int, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ):
        if not isinstance(qps, int) or not 1 <= qps <= 1000:
            raise ValueError(f"qps must be an integer from 1 to 1000, given {qps!r}")
        self.qps = qps
        self.clock = clock
        self._sleep = sleep
        self._grants: list[Grant] = []
        self._next = clock()
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    def take(self, tokens: int = 1, stop: threading.Event | None = None) -> Grant:
        """Wait for that many tokens and take them: ``with limiter.take(n): send()``.

        Raises:
            ValueError: for more tokens than the bucket holds.
            StoppedError: if ``stop`` is set before there are enough.
        """
        if not 1 <= tokens <= self.qps:
            raise ValueError(f"{tokens} tokens of a bucket of {self.qps}")
        with self._turn:  # one waiter at a time: a large request is not starved by small ones
            while True:
                if stop is not None and stop.is_set():
                    raise StoppedError("stopped while waiting for the quota")
                with self._lock:
                    now = self.clock()
                    wait = self._wait(tokens, now)
                    if wait <= 0:
                        grant = Grant(self, tokens, now)
                        self._grants.append(grant)
                        self._next = max(self._next, now + PACE * WINDOW * tokens / self.qps)
                        return grant
                self._sleep(min(wait, POLL))

    def pause(self, seconds: float) -> None:
        """Nobody takes a token for that long, as a ``Retry-After`` asks."""
        with self._lock:
            self._next = max(self._next, self.clock() + seconds)

    def batch(self, most: int = 100) -> int:
        """The largest number of queries, at most ``most``, to send at once: a tenth of the quota, so that there are
        several a second, that wastes at most 0.5% of the bucket by not dividing it."""
        best = max(1, min(most, self.qps // 10))
        return next(size for size in range(best, 0, -1) if self.qps % size <= 0.005 * self.qps)

    def _wait(self, tokens: int, now: float) -> float:
        """Seconds until that many tokens are there, as far as is known; 0 or less if they are."""
        self._grants = [grant for grant in self._grants if grant.returns > now]
        free = self.qps - sum(grant.tokens for grant in self._grants)
        ready = self._next
        for grant in sorted(self._grants, key=lambda grant: grant.returns):
            if free >= tokens:
                break
            free += grant.tokens
            ready = max(ready, grant.returns)
        return ready - now
