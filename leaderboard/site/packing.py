"""Records -> what a page loads of them: what tasks share is there once, columns are packed.

A column is what each prompt contributed, over all tasks one after the other. Counts below 64 are one character each;
other numbers keep ``SAMPLE`` digits, as a decimal exponent and a whole number, in two bytes of base64. The grid is that
of decimal numbers and the same in every run, so that equal numbers stay equal: a prompt on which two runs agree is seen
as such. What fits neither way is a plain list. ``static/records.js`` unpacks.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..submissions import RunRecord, TaskRecord

SAMPLE = 4
"""Digits of what a prompt contributed: enough to compare two runs by, on pages that hold thousands of them."""
SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
"""The 64 counts."""
LEAST, MANTISSAS = 1000, 9000
"""Whole numbers of four digits: the first, and how many there are."""
EXPONENTS = 7
"""Powers of ten that two bytes have room for beside them."""


def record(given: RunRecord) -> dict[str, Any]:
    """A record as ``data/r-ID.js`` holds it: ``tasks`` without columns and without what all their runs share."""
    content = given.model_dump(mode="json", exclude={"tasks"})
    runs = [task.run.model_dump(mode="json") for task in given.tasks]
    shared = {name: value for name, value in runs[0].items() if all(run.get(name) == value for run in runs)}
    metrics = list(dict.fromkeys(name for task in given.tasks for name in task.metrics))
    columns = list(dict.fromkeys(name for task in given.tasks for name in task.columns))
    return {
        **content,
        "run": shared,
        "metrics": metrics,
        "tasks": [
            _task(task, {name: value for name, value in run.items() if name not in shared}, metrics)
            for task, run in zip(given.tasks, runs, strict=True)
        ],
        "columns": {name: _columns(given.tasks, name) for name in columns},
    }


def _task(task: TaskRecord, own: dict[str, Any], metrics: Sequence[str]) -> dict[str, Any]:
    found = task.model_dump(mode="json", exclude={"run", "metrics", "columns", "docs"})
    numbered = task.docs == list(range(len(task.docs)))
    estimates = [task.metrics.get(name) for name in metrics]
    return {**found, "run": own, "metrics": estimates, "docs": len(task.docs) if numbered else task.docs}


def _columns(tasks: Sequence[TaskRecord], name: str) -> dict[str, Any]:
    """One metric: its numerators, its denominators (one a task where all prompts of each have the same), and the tasks
    that have it unless all do."""
    having = [place for place, task in enumerate(tasks) if name in task.columns]
    columns = [tasks[place].columns[name] for place in having]
    found: dict[str, Any] = {"n": pack([number for column in columns for number in column.numerators])}
    if any(isinstance(column.denominators, list) for column in columns):
        found["d"] = pack([number for column in columns for number in column.pair()[1].tolist()])
    else:
        found["each"] = [column.denominators for column in columns]
    return found if len(having) == len(tasks) else {**found, "in": having}


def pack(numbers: Sequence[float]) -> str | list[Any]:
    """Numbers -> ``"c…"`` (counts), ``"d<least exponent>:…"`` (decimals) or a list, all with ``SAMPLE`` digits.

    >>> pack([0, 3, 63]), pack([0.0, 0.125, 2.5])
    ('cAD_', 'd-4:AAAA+ykF')
    """
    values = np.asarray(numbers, dtype=float)
    if len(values) == 0 or not (np.isfinite(values).all() and (values >= 0).all()):
        return [_short(number) for number in numbers]
    if (values < len(SIGNS)).all() and (values == np.floor(values)).all():
        return "c" + "".join(SIGNS[int(value)] for value in values)
    parts = [_decimal(value) for value in values.tolist()]
    exponents = [exponent for whole, exponent in parts if whole]
    least = min(exponents)
    if max(exponents) - least >= EXPONENTS:
        return [_short(number) for number in numbers]
    codes = [1 + (exponent - least) * MANTISSAS + whole - LEAST if whole else 0 for whole, exponent in parts]
    packed = base64.b64encode(np.asarray(codes, dtype=">u2").tobytes()).decode("ascii")
    return f"d{least}:{packed}"


def _decimal(value: float) -> tuple[int, int]:
    """``whole`` of four digits and ``exponent`` of ``whole * 10**exponent``; 0 and 0 for nothing."""
    if value == 0:
        return 0, 0
    mantissa, _, exponent = f"{value:.{SAMPLE - 1}e}".partition("e")
    return int(mantissa.replace(".", "")), int(exponent) - SAMPLE + 1


def _short(number: float) -> float | int | None:
    if not math.isfinite(number):
        return None
    value = float(f"{number:.{SAMPLE}g}")
    return int(value) if value == int(value) else value
