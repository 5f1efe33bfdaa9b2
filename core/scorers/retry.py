"""When to ask again: exponential backoff with jitter, and what the server says in ``Retry-After``."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

import tenacity

ATTEMPTS = 10
BACKOFF = 1.0
"""Seconds; doubled at every attempt."""

LONGEST = 60.0
"""Seconds between attempts at most, unless the server asks for more."""

LONGEST_ASKED = 3600.0
"""Seconds that a ``Retry-After`` is honoured for at most."""


class Transient(Exception):
    """A failure that may pass.

    Args:
        reason: what happened, without secrets.
        retry_after: seconds that the server asks to wait for; None if it does not say.
    """

    def __init__(self, reason: str, retry_after: float | None = None):
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that ``Retry-After`` (RFC 9110, section 10.2.3) asks for; None without one that can be read.

    A date is taken relative to the answer's own ``Date``: the clock of this machine may be wrong.
    """
    fields = {name.lower(): value for name, value in headers.items()}
    asked = fields.get("retry-after", "").strip()
    try:
        seconds = float(asked) if asked[:1].isdigit() else _until(asked, fields["date"])
    except (KeyError, ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), LONGEST_ASKED)


def _until(then: str, now: str) -> float:
    return (parsedate_to_datetime(then) - parsedate_to_datetime(now)).total_seconds()


def _wait(backoff: float) -> Callable[[tenacity.RetryCallState], float]:
    jittered = tenacity.wait_random_exponential(multiplier=backoff, max=LONGEST)

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, Transient) else None
        # Never before the time asked for, and not all clients at that same moment.
        return max(jittered(state), 0.0 if asked is None else asked + random.uniform(0, backoff))

    return wait


def retrying(
    *, sleep: Callable[[float], None], attempts: int = ATTEMPTS, backoff: float = BACKOFF
) -> tenacity.Retrying:
    """Calls again after ``Transient``; after the last attempt that error is raised.

    Args:
        sleep: waits that many seconds, or shorter if all is to stop.
        attempts: calls at most.
        backoff: seconds; the wait before attempt ``n + 1`` is uniform between 0 and ``backoff * 2**(n - 1)``
            ("full jitter"), at most ``LONGEST``, and never less than the server asks for.
    """
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Transient),
        stop=tenacity.stop_after_attempt(attempts),
        wait=_wait(backoff),
        sleep=sleep,
        reraise=True,
    )
