"""The lm-eval tasks of all registered prompt sets, put into lm-eval's index.

They are made from each set's table, not from a YAML file each: the index takes configurations in memory. Only the tasks
of ``rtp_multilingual`` have YAML files. Nothing here loads data, so that listing tasks stays fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core import lm_eval_private
from ..core.metrics.fractions import averaged, names
from . import utility
from .catalog import groups, tasks
from .prompts.base import PromptSelection

VERSION = 1.0
IN_YAML = "rtp_multilingual"


class LazyTask:
    """Stands for ``ToxicityTask`` in a task's configuration until lm-eval builds the task."""

    def __new__(cls, config: Mapping[str, Any]):
        from .task import ToxicityTask

        return ToxicityTask(config=config)

    def __init__(self, config: Mapping[str, Any]):
        """Never runs: ``__new__`` gives an object of another class. lm-eval reads the signature."""


def register(manager: Any) -> None:
    """Add the tasks and groups to an lm-eval ``TaskManager``; a name that a YAML file has already taken is its."""
    lm_eval_private.add_tasks(
        manager,
        {name: _task(name, where) for name, where in tasks().items() if where.prompt_set != IN_YAML},
        {name: _group(name, members) for name, members in groups().items()}
        | {utility.GROUP: utility.group(utility.TASKS)},
    )


def _task(name: str, where: PromptSelection) -> dict[str, Any]:
    # What a task is about stands apart from metadata, which a run's --metadata overwrites.
    return {
        "task": name,
        "class": LazyTask,
        "output_type": "generate_until",
        "metadata": {"version": VERSION},
        "detoxbench": where,
    }


def _metrics() -> list[dict[str, Any]]:
    """What a group averages: every registered metric that has a macro-average. Every language counts the same,
    whatever its number of prompts; lm-eval leaves out what a run has not measured."""
    return [{"metric": name, "aggregation": "mean", "weight_by_size": False} for name in names() if averaged(name)]


def _group(name: str, members: list[str]) -> dict[str, Any]:
    return {"group": name, "task": members, "aggregate_metric_list": _metrics(), "metadata": {"version": VERSION}}
