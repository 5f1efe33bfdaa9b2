"""Numbers and records -> what a page loads of them: short, and the same number always the same.

Counts below 64 are one character each. Other numbers are decimals: a whole number and a power of ten, in two bytes with
``SAMPLE`` digits (what a prompt contributed) or in three with all that records have (estimates), as base64. The grid is
that of decimal numbers and the same in every run, so that a prompt on which two runs agree is seen as such. What fits
neither way is a plain list. Of a record, what its tasks share is there once. ``static/packing.js`` unpacks.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..submissions import DIGITS, Estimate, RunRecord, TaskRecord

SAMPLE = 4
"""Digits of what a prompt contributed: enough to compare two runs by, on pages that hold thousands of them."""
SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
"""The 64 counts."""


@dataclass(frozen=True)
class Decimals:
    """Whole numbers of ``digits`` digits and a power of ten, in so many bytes; all 0 is zero, all 1 is null."""

    sign: str
    bytes: int
    digits: int

    @property
    def least(self) -> int:
        """The first whole number of so many digits."""
        return 10 ** (self.digits - 1)

    @property
    def exponents(self) -> int:
        """Powers of ten that there is room for."""
        return (256**self.bytes - 2) // (9 * self.least)


SHORT, LONG = Decimals("d", 2, SAMPLE), Decimals("e", 3, DIGITS)


def record(given: RunRecord) -> dict[str, Any]:
    """A record as ``data/r-ID.js`` holds it: ``tasks`` without numbers and without what all their runs share."""
    content = given.model_dump(mode="json", exclude={"tasks"})
    runs = [task.run.model_dump(mode="json") for task in given.tasks]
    shared = {name: value for name, value in runs[0].items() if all(run.get(name) == value for run in runs)}
    metrics = list(dict.fromkeys(name for task in given.tasks for name in task.metrics))
    columns = list(dict.fromkeys(name for task in given.tasks for name in task.columns))
    return {
        **content,
        "run": shared,
        "tasks": [
            _task(task, {name: value for name, value in run.items() if name not in shared})
            for task, run in zip(given.tasks, runs, strict=True)
        ],
        "metrics": {name: estimates(task.metrics.get(name) for task in given.tasks) for name in metrics},
        "columns": {name: _columns(given.tasks, name) for name in columns},
    }


def _task(task: TaskRecord, own: dict[str, Any]) -> dict[str, Any]:
    found = task.model_dump(mode="json", exclude={"run", "metrics", "columns", "docs"})
    numbered = task.docs == list(range(len(task.docs)))
    return {**found, "run": own, "docs": len(task.docs) if numbered else task.docs}


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


def estimates(found: Iterable[Estimate | None]) -> str | list[Any]:
    """Values and bounds, three numbers each, with all digits of records; null where there is none."""
    return pack([number for one in found for number in one or (None, None, None)], LONG)


def pack(numbers: Sequence[float | None], form: Decimals = SHORT) -> str | list[Any]:
    """Numbers -> ``"c…"`` (counts), ``"d<least exponent>:…"`` (``"e…"`` in three bytes) or a list.

    >>> pack([0, 3, 63]), pack([0.0, 0.125, 2.5])
    ('cAD_', 'd-4:AAAA+ykF')
    """
    values = np.array([math.nan if number is None else number for number in numbers], dtype=float)
    known = values[~np.isnan(values)]
    if len(known) == 0 or not (np.isfinite(known).all() and (known >= 0).all()):
        return [_short(number, form.digits) for number in values.tolist()]
    if len(known) == len(values) and (values < len(SIGNS)).all() and (values == np.floor(values)).all():
        return "c" + "".join(SIGNS[int(value)] for value in values)
    parts = [_decimal(value, form.digits) for value in values.tolist()]
    exponents = [exponent for whole, exponent in parts if whole] or [0]
    least = min(exponents)
    if max(exponents) - least >= form.exponents:
        return [_short(number, form.digits) for number in values.tolist()]
    content = b"".join(_code(whole, exponent - least, form).to_bytes(form.bytes, "big") for whole, exponent in parts)
    return f"{form.sign}{least}:{base64.b64encode(content).decode('ascii')}"


def _code(whole: int | None, step: int, form: Decimals) -> int:
    if whole is None:
        return 256**form.bytes - 1
    return 1 + step * 9 * form.least + whole - form.least if whole else 0


def _decimal(value: float, digits: int) -> tuple[int | None, int]:
    """``whole`` and ``exponent`` of ``whole * 10**exponent``; 0 for zero, None for NaN."""
    if value == 0 or math.isnan(value):
        return (0 if value == 0 else None), 0
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    return int(mantissa.replace(".", "")), int(exponent) - digits + 1


def _short(number: float, digits: int) -> float | int | None:
    if not math.isfinite(number):
        return None
    value = float(f"{number:.{digits}g}")
    return int(value) if value == int(value) else value
