"""What a report is made of: tasks that share a table, and each metric with its interval, by language and on average."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...core.comparability import Measurement, table_of
from ...core.constants import CONFIDENCE
from ...core.metrics import with_role
from ...core.metrics.fractions import averaged
from ...core.results import Run, TaskResult
from ...core.statistics import Interval, macro_intervals

MACRO = "macro"
Row = dict[str, Interval | None]


def boards(run: Run) -> dict[str, list[TaskResult]]:
    """Groups of the run, and its tasks that are in none, by what they can be compared in."""
    found = {group: [run.tasks[name] for name in names] for group, names in run.groups.items()}
    grouped = {name for names in run.groups.values() for name in names}
    loose: dict[Measurement, list[TaskResult]] = {}
    for name, task in run.tasks.items():
        if name not in grouped:
            loose.setdefault(table_of(task.record), []).append(task)
    return found | {", ".join(task.name for task in tasks): tasks for tasks in loose.values()}


def task_row(task: TaskResult) -> Row:
    """A task's metrics with their intervals, as lm-eval's results file has them."""
    return {
        name: Interval(value, low, high, "bca", task.prompts, 0, CONFIDENCE)
        for name, (value, low, high) in task.estimates().items()
    }


def macro_row(tasks: list[TaskResult]) -> Row:
    """Macro-average over the tasks, and its stratified interval; empty if a task has no samples file."""
    rows = [task.rows() for task in tasks]
    if not tasks or not all(rows):
        return {}
    names = [name for name in rows[0][0] if averaged(name) and all(name in row for found in rows for row in found)]
    groups = []
    for prompts in rows:
        columns = np.array([[prompt[name] for name in names] for prompt in prompts])  # [prompts, metrics, 2]
        groups.append((columns[:, :, 0].T, columns[:, :, 1].T))
    return dict(zip(names, macro_intervals(groups), strict=True))


def shown(rows: Sequence[Row]) -> list[str]:
    """The metrics that a compact table has a column of: those declared so that the results know."""
    return [name for name in with_role("report") if any(name in row for row in rows)]


def text(interval: Interval | None) -> str:
    if interval is None or math.isnan(interval.value):
        return "–"
    digits = 1 if abs(interval.value) >= 10 else 3
    if math.isnan(interval.low):
        return f"{interval.value:.{digits}f}"
    return f"{interval.value:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"
