"""``detox_utility``: lm-eval's own tasks, run under the method beside its toxicity, from data sets that are at hand."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from ..core import lm_eval_private
from ..core.errors import DetoxbenchError, unknown
from ..core.utility import GROUP

logger = logging.getLogger(__name__)

TASKS = ("lambada_openai", "arc_easy", "hellaswag", "piqa", "winogrande")
"""Of the group, unless a run names others: what the papers on these methods and lm-eval's own tables have."""
OPTION = "utility"
VERSION = 1.0


def group(names: Sequence[str]) -> dict[str, Any]:
    """The configuration of the group with these tasks."""
    return {
        "group": GROUP,
        "task": list(names),
        "aggregate_metric_list": [{"metric": "acc", "aggregation": "mean", "weight_by_size": False}],
        "metadata": {"version": VERSION},
    }


def named(given: object) -> tuple[str, ...]:
    """The tasks that a run asks for with ``--metadata '{"utility": …}'``: a list, or names joined by commas.

    Raises:
        DetoxbenchError: for anything else.
    """
    if given is None:
        return TASKS
    names = given.split(",") if isinstance(given, str) else given
    if not isinstance(names, Sequence) or not all(isinstance(one, str) and one.strip() for one in names) or not names:
        raise DetoxbenchError(f"--metadata: {OPTION}={given!r}: give names of lm-eval's tasks, such as arc_easy,piqa")
    return tuple(dict.fromkeys(one.strip() for one in names))


def check(manager: Any, names: Sequence[str]) -> None:
    """Refuse tasks that are not there, or whose data are not, before any model is loaded.

    Args:
        manager: an lm-eval ``TaskManager``.
        names: of tasks and groups.

    Raises:
        DetoxbenchError: naming all of them in one line.
    """
    for name in names:
        if name not in manager.task_index:
            near = [other for other in manager.all_tasks if other[:3] == name[:3]]
            raise unknown("task of detox_utility", name, near[:40] or TASKS)
    missing = dict(_missing(manager, names))
    if missing:
        shown = ", ".join(f"{name} ({why})" for name, why in missing.items())
        there = [name for name in names if name not in missing]
        instead = f', or take what is there: --metadata \'{{"{OPTION}": "{",".join(there)}"}}\'' if there else ""
        raise DetoxbenchError(
            f"{GROUP}: the data of {shown} cannot be had here: run once where there is a network (they stay in the "
            f"cache of Hugging Face){instead}"
        )


def _missing(manager: Any, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Task -> why its data cannot be loaded."""
    for name in names:
        why = lm_eval_private.data_missing(manager, name)
        if why is not None:
            yield name, why
