"""``--use_cache``: lm-eval's cache of answers, which must not reach our model or our tasks.

Its key is a request's text and settings. That is neither the model, its arguments, the method or its artifacts; nor the
number of a repeat, so that K samples of a prompt would be one text K times.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..core import lm_eval_private
from ..core.errors import DetoxbenchError
from ..tasks.task import ToxicityTask


def refused(what: str) -> DetoxbenchError:
    """The error.

    Args:
        what: of the run does not go with the cache, in words.
    """
    return DetoxbenchError(
        "--use_cache: lm-eval's cache knows a request by its text alone, not by model, method, their arguments and "
        "artifacts, nor by the number of a sample, and would give the answers of one run to another and one text for "
        f"all samples of a prompt: leave it out for {what}"
    )


def of_tasks(names: Iterable[str]) -> DetoxbenchError:
    """The error for tasks of ours, whichever model is asked."""
    shown = sorted(names)
    more = f" and {len(shown) - 1} more" if len(shown) > 1 else ""
    return refused(f"the task {shown[0]}{more}; other tasks can have it in a run of their own")


def check(lm: object, tasks: Iterable[object]) -> None:
    """Refuse a cached model for tasks of ours, however both came to ``lm_eval.evaluate``.

    Args:
        lm: lm-eval's model.
        tasks: task objects.

    Raises:
        DetoxbenchError: naming the first of them.
    """
    if lm_eval_private.is_cached(lm):
        mine = [task.name for task in tasks if isinstance(task, ToxicityTask)]
        if mine:
            raise of_tasks(mine)
