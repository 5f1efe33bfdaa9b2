"""What a record may not say: numbers outside their metric's bounds, and numbers that its own prompts contradict."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields

import numpy as np

from ..core.errors import DetoxbenchError
from ..core.files import safe_name
from ..core.metric_names import metric_of
from ..core.metrics import METRICS
from .boards import Measurement, measurement_of
from .content_named import strings
from .submissions import Estimate, RunRecord, TaskRecord

CLOSE = 1e-4
"""Relative difference of two numbers that are the same: records keep six digits, and sums of them lose some."""
LONGEST = 255
"""Characters of a name or version."""
LONGEST_METRIC = 80
"""Characters of a metric's name, and of a language's: both become part of a file's name."""
SHOWN = 60


def problems(record: RunRecord) -> tuple[str, ...]:
    """What is impossible in a record, one line each; empty for one that can be believed.

    Names that become part of a path are plain, versions can be printed, every estimate lies within its metric's
    declared bounds and its own interval, no time is negative, and whatever the prompts' contributions show is what they
    show. Metrics of other packages have no bounds here; the other rules hold for them too.
    """
    return tuple(dict.fromkeys(line for check in CHECKS for line in check(record)))


def check(record: RunRecord, where: str) -> RunRecord:
    """The record itself.

    Raises:
        DetoxbenchError: naming ``where`` it comes from and the first of its problems.
    """
    found = list(problems(record))
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise DetoxbenchError(f"'{where}': {found[0]}{more}")
    return record


def same(one: float, other: float) -> bool:
    """Whether two numbers are one, as far as records keep digits."""
    return math.isclose(one, other, rel_tol=CLOSE, abs_tol=1e-6)


def _names(record: RunRecord) -> Iterator[str]:
    for task in record.tasks:
        for kind, name in (("task", task.name), ("language", task.language), *(("metric", m) for m in task.metrics)):
            if not _is_plain(name):
                yield f"{kind} {_shown(name)}: no plain name of at most {LONGEST_METRIC} letters, digits and _ . + -"
        for name in _measurement(measurement_of(task.run)):
            yield f"{name} of task {_shown(task.name)}: {LONGEST} printable characters at most"
    for name in record.macro:
        if not any(name in task.metrics for task in record.tasks):
            yield f"macro-average of {_shown(name)}: no task has this metric"
    reasons = [why for task in (record, *record.tasks) for pair in task.degenerate.items() for why in pair]
    if not all(why.isprintable() and len(why) <= LONGEST for why in reasons):
        yield f"why a metric has no interval: {LONGEST} printable characters at most"
    if not all(_is_text(text) for text in strings(record.model_dump(include={"label", "model", "date"}))):
        yield "a lone surrogate is no character: one of the record's texts has one"


def _is_plain(name: str) -> bool:
    return name.isascii() and 0 < len(name) <= LONGEST_METRIC and safe_name(name) == name


def _measurement(measurement: Measurement) -> Iterator[str]:
    """Fields with a text that nobody could print."""
    for field in fields(Measurement):
        value = getattr(measurement, field.name)
        json = field.name in ("generation", "constants")
        if isinstance(value, str) and not (value.isprintable() and (json or len(value) <= LONGEST)):
            yield field.name.replace("_", " ")


def _is_text(text: str) -> bool:
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def _times(record: RunRecord) -> Iterator[str]:
    if record.model is not None:
        numbers = {name: getattr(record.model, name) for name in ("seconds", "tokens", "tokens_per_second")}
        yield from _negative(numbers, "the run")
    for task in record.tasks:
        yield from _negative(task.run.seconds, f"task {task.name}")
        yield from _negative({"failed_scores": task.run.failed_scores}, f"task {task.name}")
        if task.run.samples < 1:
            yield f"task {task.name}: {task.run.samples} continuations a prompt"


def _negative(numbers: Mapping[str, float | None], where: str) -> Iterator[str]:
    for name, number in numbers.items():
        if number is not None and not (math.isfinite(number) and number >= 0):
            yield f"{name} of {where} is {number:g}: not below 0"


def _estimates(record: RunRecord) -> Iterator[str]:
    for task in record.tasks:
        for name, estimate in task.metrics.items():
            yield from _estimate(name, estimate, f"{name} of {task.name}")
    for name, estimate in record.macro.items():
        yield from _estimate(name, estimate, f"macro-average of {name}")


def _estimate(name: str, estimate: Estimate, what: str) -> Iterator[str]:
    value, low, high = estimate
    least, most = bounds(name)
    for number in estimate:
        if number is not None and not (least <= number <= most or same(number, least) or same(number, most)):
            yield f"{what}: {number:g} is not within {least:g} and {most:g}"
            return
    if value is None and not (low is None and high is None):
        yield f"{what}: an interval without a value"
    if value is not None and low is not None and not (low <= value or same(low, value)):
        yield f"{what}: {value:g} is below its interval's {low:g}"
    if value is not None and high is not None and not (value <= high or same(high, value)):
        yield f"{what}: {value:g} is above its interval's {high:g}"


def bounds(name: str) -> tuple[float, float]:
    """The least and the largest possible value of a metric, or of it on a subset of prompts; none where unknown."""
    metric = METRICS.get(metric_of(name))
    return metric.bounds if metric else (-math.inf, math.inf)


def _prompts(record: RunRecord) -> Iterator[str]:
    for task in record.tasks:
        if task.docs and len(task.docs) != task.prompts:
            yield f"task {task.name}: {task.prompts} prompts, but what {len(task.docs)} contributed"
        if task.of is not None and task.prompts > task.of:
            yield f"task {task.name}: {task.prompts} prompts of a set of {task.of}"
        for name, column in task.columns.items():
            yield from _column(task, name, *column.pair())


def _column(task: TaskRecord, name: str, numerators: np.ndarray, denominators: np.ndarray) -> Iterator[str]:
    what = f"{name} of {task.name}"
    value = task.metrics.get(name, (None,))[0]
    measured = denominators > 0
    if not measured.all() and np.any(numerators[~measured] != 0):
        yield f"{what}: a prompt contributes something to nothing measured"
    total = float(denominators.sum())
    if total > 0:
        least, most = bounds(name)
        each = numerators[measured] / denominators[measured]
        slack = CLOSE * np.maximum(1.0, np.abs(each))
        outside = (each < least - slack) | (each > most + slack)
        if outside.any():
            yield f"{what}: {each[outside][0]:g} of one prompt is not within {least:g} and {most:g}"
        shown = float(numerators.sum()) / total
        if value is None or not same(value, shown):
            yield f"{what} is {'not there' if value is None else f'{value:g}'}, but its prompts show {shown:g}"
    elif value is not None:
        yield f"{what} is {value:g}, but it was measured on no prompt"


def _macro(record: RunRecord) -> Iterator[str]:
    for name, (value, _, _) in record.macro.items():
        each = [task.metrics.get(name, (None,))[0] for task in record.tasks]
        known = [number for number in each if number is not None]
        if value is not None and known and len(known) < len(each):
            yield f"macro-average of {name} is {value:g}, but {len(each) - len(known)} of its languages have none"
        elif value is not None and known and not any(same(value, mean) for mean in _means(known)):
            yield f"macro-average of {name} is {value:g}, but its languages show {np.mean(known):.6g}"


def _means(known: Sequence[float]) -> Iterator[float]:
    """Of the languages; geometric as well, as perplexities are averaged."""
    yield float(np.mean(known))
    if min(known) > 0:
        yield float(np.exp(np.mean(np.log(known))))


CHECKS: tuple[Callable[[RunRecord], Iterator[str]], ...] = (_names, _times, _estimates, _prompts, _macro)


def _shown(name: str) -> str:
    text = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in name)
    return f"'{text}'" if len(text) <= SHOWN else f"'{text[:SHOWN]}…' ({len(name)} characters)"
