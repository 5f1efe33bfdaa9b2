"""Holds a quota of queries per second, whatever the latency and whatever the wall clock does."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

WINDOW = 1.0
"""Seconds that a quota is counted over."""

MARGIN = 0.01
"""Seconds added to the window, for the way to the server, which is not equally long every time."""

LONGEST = 1.0
"""Seconds beyond the window after which tokens come back even if there is no answer yet."""

RECENT = 1000
"""Answers that the shortest latency is taken over."""

ENOUGH = 20
"""Answers, or those of two seconds, before which no latency is taken for granted: the first ones take longer."""

PACE = 0.9
"""Takers are kept this share of their even spacing apart: the bucket is emptied evenly, not at once."""

LATE = 0.2
"""Seconds that takers may be behind that schedule and still catch up."""

POLL = 0.02
"""Longest sleep, in seconds: an answer may free a token earlier than was known when the sleep began."""


class StoppedError(Exception):
    """Somebody who waits for tokens need not wait any longer."""


class Grant:
    """Tokens taken: a context manager around the request, so that the limiter knows when it was answered."""

    def __init__(self, limiter: RateLimiter, tokens: int, sent: float, hold: float):
        self.limiter = limiter
        self.tokens = tokens
        self.sent = sent
        self.returns = sent + WINDOW + hold
        """When the tokens come back, on the limiter's clock, in seconds."""

    def __enter__(self) -> Grant:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.limiter.over(self, answered=error is None)


class RateLimiter:
    """A bucket of ``qps`` tokens, each of which comes back one second after the request that took it was counted.

    A bucket refilled at a steady rate lets up to twice its size through in one second. Here no one-second window on
    the server's clock holds more than ``qps`` queries. When a request was counted is not known exactly: after it was
    sent, and before its answer left. The shortest latency of late is taken for what every answer takes from then on;
    what an answer took longer may have been spent on the way there, and its tokens are held for as long:
    ``WINDOW + (latency - shortest) + MARGIN``. Steady answers, quick or slow, so leave 99% of the quota to use, and
    irregular ones cost quota: never the other way round.

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
        self._latencies: dict[int, deque[float]] = {}
        self._next = clock()
        self._paused = clock()
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
                        # A server that never answers within the window cannot be waited for.
                        slow = min(self._latencies.get(tokens, (0.0,))) >= WINDOW
                        grant = Grant(self, tokens, now, MARGIN if slow else LONGEST)
                        self._grants.append(grant)
                        self._next = max(self._next, now - LATE) + PACE * WINDOW * tokens / self.qps
                        return grant
                self._sleep(min(wait, POLL))

    def over(self, grant: Grant, *, answered: bool) -> None:
        """The request is over: the server had counted it before now, if it has at all."""
        with self._lock:
            latency = self.clock() - grant.sent
            shortest = 0.0
            if answered:
                # Large batches take longer than small ones.
                recent = self._latencies.setdefault(grant.tokens, deque(maxlen=RECENT))
                recent.append(latency)
                shortest = min(recent) if len(recent) > min(ENOUGH, 2 * self.qps) else 0.0
            grant.returns = min(grant.returns, grant.sent + WINDOW + latency - shortest + MARGIN)

    def pause(self, seconds: float) -> None:
        """Nobody takes a token for that long, as a ``Retry-After`` asks."""
        with self._lock:
            self._paused = max(self._paused, self.clock() + seconds)

    def batch(self, most: int = 100) -> int:
        """The largest number of queries, at most ``most``, to send at once: a tenth of the quota, so that there are
        several a second, that wastes at most 0.5% of the bucket by not dividing it."""
        best = max(1, min(most, self.qps // 10))
        return next(size for size in range(best, 0, -1) if self.qps % size <= 0.005 * self.qps)

    def _wait(self, tokens: int, now: float) -> float:
        """Seconds until that many tokens are there, as far as is known; 0 or less if they are."""
        self._grants = [grant for grant in self._grants if grant.returns > now]
        free = self.qps - sum(grant.tokens for grant in self._grants)
        ready = max(self._next, self._paused)
        for grant in sorted(self._grants, key=lambda grant: grant.returns):
            if free >= tokens:
                break
            free += grant.tokens
            ready = max(ready, grant.returns)
        return ready - now
