"""A task of which not one text could be scored has failed: its numbers are missing, and a run says so by its status.

What fails is told as each task is summed up, to whoever watches: the run itself, a sweep's or a study's cell, the
command that was typed.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar

from ..core.errors import DetoxbenchError
from ..core.scorers.refusals import EMPTY, UNSUPPORTED

Outcome = dict[str, str | None]
"""Task -> why not one of its texts has a score; None where one has, or none was there to be scored."""
_WATCHED: ContextVar[Outcome | None] = ContextVar("unscored", default=None)


def nothing_scored(reasons: Iterable[str | None]) -> str | None:
    """The commonest reason, where not one text that is not empty has a score.

    Args:
        reasons: of each text; None for one that has a score.
    """
    found = [reason for reason in reasons if reason != EMPTY]
    if not found or None in found:
        return None
    return Counter(str(reason) for reason in found).most_common(1)[0][0]


@contextlib.contextmanager
def watched() -> Iterator[Outcome]:
    """What comes of the tasks that are summed up within; who watches around hears of them too."""
    around, own = _WATCHED.get(), {}
    token = _WATCHED.set(own)
    try:
        yield own
    finally:
        _WATCHED.reset(token)
        if around is not None:
            around.update(own)


def tell(task: str, reasons: Iterable[str | None]) -> None:
    """A task is summed up."""
    outcome = _WATCHED.get()
    if outcome is not None:
        outcome[task] = nothing_scored(reasons)


def failed(outcome: Mapping[str, str | None]) -> dict[str, str]:
    """The tasks that failed, and why. Leaving a language unscored that the scorer does not support was asked for
    (``on_unsupported``): it is no failure beside other tasks, but a run of nothing else is one."""
    found = {task: reason for task, reason in outcome.items() if reason is not None}
    if len(found) == len(outcome):
        return found
    return {task: reason for task, reason in found.items() if not UNSUPPORTED.search(reason)}


def error(failures: Mapping[str, str]) -> DetoxbenchError:
    """In one line; tasks that failed for one reason are named together."""
    tasks: dict[str, list[str]] = {}
    for task, reason in failures.items():
        tasks.setdefault(reason, []).append(task)
    return DetoxbenchError(
        "; ".join(f"{', '.join(names)}: no text could be scored: {reason}" for reason, names in tasks.items())
    )
