"""The lm-eval tasks of all registered prompt sets.

They are made from each set's table, not from a YAML file each: lm-eval's index takes configurations in memory. Only
``rtp_multilingual`` has YAML files. Nothing here loads data, so that listing tasks stays fast.
"""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ..harness.registry import PROMPTS
from . import languages
from .prompts.base import PromptSet, Where

logger = logging.getLogger(__name__)

VERSION = 1.0
IN_YAML = "rtp_multilingual"


class LazyTask:
    """Stands for ``ToxicityTask`` in a task's configuration until lm-eval builds the task."""

    def __new__(cls, config: Mapping[str, Any]):
        from .base import ToxicityTask

        return ToxicityTask(config=config)

    def __init__(self, config: Mapping[str, Any]):
        """Never runs: ``__new__`` gives an object of another class. lm-eval reads the signature."""


@cache
def sets() -> Mapping[str, PromptSet]:
    """The registered sets; one of another package that cannot be imported is left out with a warning."""
    found = {}
    for name in PROMPTS:
        try:
            found[name] = PROMPTS[name]
        except Exception as error:
            logger.warning(f"prompt set '{name}' cannot be loaded: {error}")
    return found


def tasks() -> dict[str, Where]:
    """lm-eval task name -> which prompts it is about."""
    return {name: where for prompt_set in sets().values() for name, where in prompt_set.tasks.items()}


def groups() -> dict[str, list[str]]:
    """lm-eval group name -> its tasks."""
    return {name: list(members) for prompt_set in sets().values() for name, members in prompt_set.groups.items()}


def names() -> list[str]:
    """All names of tasks and groups."""
    return [*tasks(), *groups()]


def canonical(name: str) -> str:
    """The task that a name means: ``ptp_fra`` and ``rtp_lx_ZH_Hans`` are ``ptp_fr`` and ``rtp_lx_zh-Hans``."""
    known = tasks()
    if name in known or not isinstance(name, str) or any(mark in name for mark in "*?["):
        return name
    for group in sorted(groups(), key=len, reverse=True):
        if name.lower().startswith(f"{group}_"):
            tag = languages.known(name[len(group) + 1 :])
            if tag is not None and f"{group}_{tag}" in known:
                return f"{group}_{tag}"
    return name


def find(patterns: Iterable[str]) -> dict[str, Where]:
    """Our tasks among lm-eval's ``--tasks``: names, groups and patterns."""
    members = groups()
    wanted: dict[str, None] = {}
    for pattern in map(canonical, patterns):
        for name in fnmatch.filter(members, pattern):
            wanted.update(dict.fromkeys(members[name]))
        wanted.update(dict.fromkeys(fnmatch.filter(tasks(), pattern)))
    table = tasks()
    return {name: table[name] for name in wanted}


def register(manager: Any) -> None:
    """Add the tasks and groups to an lm-eval ``TaskManager``; a name that a YAML file has already taken is its."""
    from lm_eval.tasks._index import Entry, Kind

    index = manager.task_index
    added: dict[Kind, list[str]] = {Kind.PY_TASK: [], Kind.GROUP: []}
    for name, where in tasks().items():
        if name not in index and where.prompt_set != IN_YAML:
            index[name] = Entry(name, Kind.PY_TASK, None, cfg=_task(name, where), tags=set())
            added[Kind.PY_TASK].append(name)
    for name, members in groups().items():
        if name not in index:
            index[name] = Entry(name, Kind.GROUP, None, cfg=_group(name, members), tags=set())
            added[Kind.GROUP].append(name)
    manager._all_tasks = sorted(index)
    manager._all_subtasks = sorted([*manager._all_subtasks, *added[Kind.PY_TASK]])
    manager._all_groups = sorted([*manager._all_groups, *added[Kind.GROUP]])


def _task(name: str, where: Where) -> dict[str, Any]:
    # What a task is about stands apart from metadata, which a run's --metadata overwrites.
    return {
        "task": name,
        "class": LazyTask,
        "output_type": "generate_until",
        "metadata": {"version": VERSION},
        "detoxbench": where,
    }


@cache
def _metrics() -> list[dict[str, Any]]:
    """What a group averages, as ``rtp_multilingual``'s YAML file lists it: the one list of them."""
    from lm_eval.tasks._yaml_loader import load_yaml

    path = Path(__file__).parent / IN_YAML / "_group.yaml"
    return load_yaml(path, resolve_func=False)["aggregate_metric_list"]


def _group(name: str, members: list[str]) -> dict[str, Any]:
    return {
        "group": name,
        "task": members,
        "aggregate_metric_list": [dict(metric) for metric in _metrics()],
        "metadata": {"version": VERSION},
    }
