"""What a model can still do: accuracies of lm-eval's own tasks in a run, read from its results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

from .constants import CONFIDENCE
from .metrics.run_level import UTILITY

GROUP = "detox_utility"
"""The group of these tasks."""
ACCURACIES = ("acc", "exact_match", "acc_norm")
"""lm-eval's metrics that are taken, the first that a task has."""
Estimate = tuple[float | None, float | None, float | None]
"""Value, lower and upper bound; None where there is none."""


def read(raw: Mapping[str, Any]) -> dict[str, Estimate]:
    """Mean accuracy and that of each task, with normal intervals of lm-eval's standard errors; empty without the group.

    The mean weighs tasks alike, and its standard error is that of a mean of independent ones. An accuracy of a group
    within (``xstorycloze``) is that of its tasks' mean.

    Args:
        raw: a results file of lm-eval.
    """
    tasks = [name for name in members(raw, GROUP) if _accuracy(raw, name) is not None]
    found = {name: _accuracy(raw, name) for name in tasks}
    known = {name: pair for name, pair in found.items() if pair is not None}
    if not known:
        return {}
    mean = sum(value for value, _ in known.values()) / len(known)
    error = math.sqrt(sum(error**2 for _, error in known.values())) / len(known)
    return {
        UTILITY: _interval(mean, error),
        **{f"{UTILITY}_{name}": _interval(value, error) for name, (value, error) in known.items()},
    }


def members(raw: Mapping[str, Any], group: str) -> Sequence[str]:
    """The tasks of a group of a run, those of groups within among them."""
    within = raw.get("group_subtasks", {})
    found: list[str] = []
    for name in within.get(group, ()):
        found += members(raw, name) if within.get(name) else [name]
    return list(dict.fromkeys(found))


def _accuracy(raw: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    """Value and standard error, NaN where lm-eval has none."""
    row = raw.get("results", {}).get(name, {})
    for metric in ACCURACIES:
        for key, value in row.items():
            if key.partition(",")[0] == metric and isinstance(value, int | float) and math.isfinite(value):
                error = row.get(f"{metric}_stderr,{key.partition(',')[2]}")
                return float(value), float(error) if isinstance(error, int | float) else math.nan
    return None


def _interval(value: float, error: float) -> Estimate:
    if not math.isfinite(error):
        return value, None, None
    width = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) * error
    return value, max(0.0, value - width), min(1.0, value + width)
