"""A run, its tasks and their samples files: what is missing, impossible or contradictory, one line each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import DetoxbenchError
from ..metric_names import HIGH, LOW, MEASURED
from ..parsing import parse_json
from ..results import Run, TaskResult
from .aggregates import aggregate_problems
from .rows import row_problems
from .wording import Pair, bounds_of, range_of, shown, slack, some, within

SPELLED_OUT = 4
"""Problems of a run in one error; the others are counted."""


def validate_run(run: Run, *, recompute: bool = True) -> tuple[str, ...]:
    """What is wrong with a run.

    Args:
        run: as ``results.read`` gives it.
        recompute: read the samples files and compute from them what they can show; without it only the results file
            is looked at. A task without a samples file has nothing to compute, which is no problem by itself.

    Returns:
        One line a problem, each naming the task and, where there is one, the row; empty if the run can be believed.
        Nothing is raised for what the files hold.
    """
    found = _model(run)
    for name, task in run.tasks.items():
        lines = [*_record(task), *_numbers(task)]
        if recompute and task.samples is not None:
            lines += _samples(task, _counted(run, task))
        found += [f"task '{shown(name)}': {line}" for line in lines]
    return tuple(found)


def believed(run: Run, name: str = "the run") -> None:
    """Nothing, if the run's files are complete, possible and agree with their samples.

    Raises:
        DetoxbenchError: naming what is wrong, with the run called ``name``.
    """
    found = validate_run(run)
    if found:
        more = f"; and {len(found) - SPELLED_OUT} more" if len(found) > SPELLED_OUT else ""
        raise DetoxbenchError(
            f"{name} ('{run.path}') is not comparable: {'; '.join(found[:SPELLED_OUT])}{more}. "
            f"Measure it again, or take its files from where they were written"
        )


def _model(run: Run) -> list[str]:
    if run.model is None:
        return []
    values = {
        "seconds": run.model.seconds,
        "tokens": run.model.tokens,
        "tokens_per_second": run.model.tokens_per_second,
    }
    return [f"model: {line}" for line in _negative(values)]


def _record(task: TaskResult) -> list[str]:
    record = task.record
    found = _negative({f"seconds of {name}": value for name, value in record.seconds.items()})
    found += _negative({"failed_scores": record.failed_scores, "skipped_rows": record.skipped_rows})
    if record.samples < 1:
        found.append(f"{record.samples} continuations a prompt (K), which is less than 1")
    return found


def _negative(values: Mapping[str, float | None]) -> list[str]:
    return [
        f"{shown(name)} is {value!r}, which is no time or count"
        for name, value in values.items()
        if value is not None and not (math.isfinite(value) and value >= 0)
    ]


def _numbers(task: TaskResult) -> list[str]:
    """The results file's own numbers; NaN is what could not be measured."""
    found = []
    for name, value in task.metrics.items():
        if name.endswith((LOW, HIGH, "_stderr")):
            continue
        bounds = bounds_of(name)
        low, high = (task.metrics.get(name + part, math.nan) for part in (LOW, HIGH))
        for word, number in (("", value), ("the lower bound of ", low), ("the upper bound of ", high)):
            if not math.isnan(number) and not within(number, bounds):
                found.append(f"{word}{shown(name)} is {number:.6g}, which is not {range_of(bounds)}")
        if math.isnan(value) and not (math.isnan(low) and math.isnan(high)):
            found.append(f"{shown(name)} has an interval and no value")
        elif math.isnan(low) != math.isnan(high):
            found.append(f"{shown(name)} has one bound of its interval and not the other")
        elif low > value + slack(value) or high < value - slack(value):
            found.append(f"{shown(name)} is {value:.6g}, outside its own interval [{low:.6g}, {high:.6g}]")
    return found


def _samples(task: TaskResult, counted: int | None) -> list[str]:
    """Problems of the rows, and of the results beside them."""
    try:
        rows = task.raw_samples()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return [f"its samples file cannot be read ({type(error).__name__}: {shown(error)}); it may be cut off"]
    if not rows:
        return ["its samples file is empty"]
    found = []
    if counted is not None and counted != len(rows):
        found.append(f"its samples file has {len(rows)} prompts, the results say {counted}")
    copies = [doc for doc, times in Counter(repr(row.get("doc_id")) for row in rows).items() if times > 1]
    found += some(f"doc_id {shown(doc)} is there more than once" for doc in copies)
    problems: list[str] = []
    written: list[dict[str, Pair]] = []
    sizes: list[int] = []
    for row in rows:
        lines, pairs, size = row_problems(task, row)
        problems += [f"doc_id {shown(row.get('doc_id'))}: {line}" for line in lines]
        written.append(pairs)
        sizes.append(size)
    names = list(dict.fromkeys(name for pairs in written for name in pairs))
    for row, pairs in zip(rows, written, strict=True):
        missing = [name for name in names if name not in pairs]
        if missing and pairs:
            problems.append(f"doc_id {shown(row.get('doc_id'))}: lacks {shown(', '.join(missing))}")
    found += some(problems)
    return (
        found
        + some(_continuations(task, rows, sizes))
        + (some(aggregate_problems(task, names, written)) if names else [])
    )


def _continuations(task: TaskResult, rows: Sequence[Mapping[str, Any]], sizes: Sequence[int]) -> list[str]:
    """Rows without K continuations; of texts from a file (no ``generation``) some prompts may have fewer."""
    k, known = task.record.samples, [size for size in sizes if size]
    if not known:
        return []
    if not task.record.generation:
        return [] if max(known) == k else [f"at most {max(known)} continuations a prompt, the record says K = {k}"]
    return [
        f"doc_id {shown(row.get('doc_id'))}: {size} continuations, the record says K = {k}"
        for row, size in zip(rows, sizes, strict=True)
        if size and size != k
    ]


def _counted(run: Run, task: TaskResult) -> int | None:
    """The number of prompts that the results file says a task has: our own count, else lm-eval's ``n-samples``."""
    own = task.metrics.get(MEASURED, math.nan)
    if math.isfinite(own):
        return int(own)
    try:
        content = parse_json(run.path.read_text(encoding="utf-8"))
        return int(content["n-samples"][task.name]["effective"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
