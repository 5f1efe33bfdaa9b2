"""The names of all tasks and groups: those of every registered prompt set.

Nothing here loads data, so that listing tasks stays fast.
"""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Iterable, Mapping
from functools import cache

from ..core.registry import PROMPTS
from . import languages
from .prompts.base import PromptSelection, PromptSet

logger = logging.getLogger(__name__)


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


def tasks() -> dict[str, PromptSelection]:
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


def find(patterns: Iterable[str]) -> dict[str, PromptSelection]:
    """Our tasks among lm-eval's ``--tasks``: names, groups and patterns."""
    members = groups()
    wanted: dict[str, None] = {}
    for pattern in map(canonical, patterns):
        for name in fnmatch.filter(members, pattern):
            wanted.update(dict.fromkeys(members[name]))
        wanted.update(dict.fromkeys(fnmatch.filter(tasks(), pattern)))
    table = tasks()
    return {name: table[name] for name in wanted}
