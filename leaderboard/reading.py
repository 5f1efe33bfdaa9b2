"""Results of lm-eval as records: validated line by line, so that one bad file costs one run and says why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import pydantic

from ..core import results
from ..core.errors import DetoxbenchError
from ..core.records import TaskRun
from ..core.validation import validate_run
from . import validation
from .submissions import (
    DIGITS,
    Column,
    Estimate,
    Number,
    RunRecord,
    TaskRecord,
    Weight,
    digest,
    first_error,
    macro_average,
    rounded,
    to_text,
)

LOW, HIGH = "_ci_low", "_ci_high"


class _Doc(pydantic.BaseModel):
    id: str
    text: str
    lang: str


class _Measured(pydantic.BaseModel):
    scores: dict[str, list[Number | None]]
    fractions: dict[str, tuple[Number, Weight]]
    prompt_toxicity: Number | None = None


class Sample(pydantic.BaseModel):
    """One row of lm-eval's samples file, as far as it is used; lm-eval's own fields are left aside."""

    model_config = pydantic.ConfigDict(strict=True, frozen=True)

    doc_id: Annotated[int, pydantic.Field(ge=0)]
    doc: _Doc
    filtered_resps: Annotated[list[list[str]], pydantic.Field(min_length=1)]
    measured: _Measured


Samples = Mapping[str, Sequence[Sample]]
"""Language -> rows."""


def read_samples(path: Path) -> list[Sample]:
    """The rows of a samples file in the order of their prompts.

    Raises:
        DetoxbenchError: naming the line that is not such a row.
    """
    rows = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    rows.append(Sample.model_validate_json(line))
                except pydantic.ValidationError as error:
                    raise DetoxbenchError(f"'{path}', line {number}: {first_error(error)}") from None
    return sorted(rows, key=lambda row: row.doc_id)


def from_results(path: Path) -> list[tuple[RunRecord, Samples]]:
    """The records of one results file of lm-eval: one for each set of comparable tasks in it.

    Raises:
        DetoxbenchError: if it, or a samples file beside it, is not what lm-eval and detoxbench write.
    """
    try:
        run = results.read(path)
        # Our own reader goes first: it names the line.
        samples = {name: read_samples(task.samples) if task.samples else [] for name, task in run.tasks.items()}
        _believe(run)
        found: dict[tuple[str, ...], list[tuple[TaskRecord, list[Sample]]]] = {}
        for name, task in run.tasks.items():
            rows = samples[name]
            found.setdefault(_kind(task.record), []).append((_task(task, rows), rows))
        return [
            (
                validation.check(_record(run, [task for task, _ in group]), str(path)),
                {task.language: rows for task, rows in group if rows},
            )
            for group in found.values()
        ]
    except pydantic.ValidationError as error:
        raise DetoxbenchError(f"'{path}': {first_error(error)}") from None
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, DetoxbenchError):
            raise
        raise DetoxbenchError(f"'{path}': {type(error).__name__}: {error}") from None


def _believe(run: results.Run) -> None:
    problems = list(validate_run(run))
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise DetoxbenchError(f"'{run.path}': {problems[0]}{more}")


def _kind(run: TaskRun) -> tuple[str, ...]:
    """Tasks that are languages of one measurement share this; what else must agree, boards say."""
    return run.prompt_set, run.scorer, run.scorer_version, str(run.samples), run.protocol, str(run.fluency_model)


def _task(task: results.TaskResult, rows: Sequence[Sample]) -> TaskRecord:
    names = [name for name in task.metrics if not name.endswith((LOW, HIGH)) and name != results.MEASURED]
    fractions = [row.measured.fractions for row in rows]
    # Metrics on the toxic or the non-toxic prompts alone repeat the numbers of the metric itself.
    base = [name for name in (fractions[0] if fractions else ()) if not name.endswith("_prompts")]
    return TaskRecord(
        name=task.name,
        run=task.record,
        metrics={name: _estimate(task.metrics, name) for name in names},
        prompts=len(rows) or int(task.metrics.get(results.MEASURED, 0)),
        docs=[row.doc_id for row in rows],
        columns={name: _column([row[name] for row in fractions]) for name in base},
        of=task.available,
    )


def _estimate(metrics: Mapping[str, float], name: str) -> Estimate:
    value, low, high = (rounded(metrics.get(name + part, math.nan)) for part in ("", LOW, HIGH))
    return value, low, high


def _column(pairs: Sequence[tuple[float, float]]) -> Column:
    numerators, denominators = ([float(f"{pair[side]:.{DIGITS}g}") for pair in pairs] for side in (0, 1))
    same = len(set(denominators)) == 1
    return Column(numerators=numerators, denominators=denominators[0] if same else denominators)


def _record(run: results.Run, tasks: list[TaskRecord]) -> RunRecord:
    record = RunRecord(label=run.label, model=run.model, date=run.date, tasks=tasks, macro=macro_average(tasks))
    return record.model_copy(update={"id": digest(to_text(record).encode())})
