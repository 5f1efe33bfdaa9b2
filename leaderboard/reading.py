"""Results of lm-eval as records: validated line by line, so that one bad file costs one run and says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pydantic

from ..core import results
from ..core.comparability import Measurement, table_of
from ..core.errors import DetoxbenchError
from ..core.metric_names import on_subset
from ..core.records import SampleRow
from ..core.results import first_error
from ..core.validation import validate_run
from . import corrected, validation
from .content_named import digest
from .submissions import DIGITS, Column, RunRecord, TaskRecord, averages, bounded, rounded, to_text

Samples = Mapping[str, Sequence[SampleRow]]
"""Language -> rows."""


def from_results(path: Path) -> list[tuple[RunRecord, Samples]]:
    """The records of one results file of lm-eval: one for each set of comparable tasks in it.

    Raises:
        DetoxbenchError: if it, or a samples file beside it, is not what lm-eval and detoxbench write.
    """
    try:
        run = results.read(path)
        # The reader of rows goes first: it names the line.
        samples = {name: task.read_samples() for name, task in run.tasks.items()}
        _believe(run)
        found: dict[Measurement, list[tuple[TaskRecord, list[SampleRow]]]] = {}
        for name, task in run.tasks.items():
            found.setdefault(table_of(task.record), []).append((_task(task, samples[name]), samples[name]))
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


def _task(task: results.TaskResult, rows: Sequence[SampleRow]) -> TaskRecord:
    fractions = [row.measured.fractions for row in rows]
    estimates = task.estimates()
    return TaskRecord(
        name=task.name,
        run=task.record,
        metrics={name: (rounded(value), rounded(low), rounded(high)) for name, (value, low, high) in estimates.items()},
        prompts=len(rows) or task.prompts,
        docs=[row.place for row in rows],
        columns={
            name: _column([row[name] for row in fractions])
            for name in (fractions[0] if fractions else ())
            if not on_subset(name)
        },
        of=task.available,
        degenerate={name: why for name, why in task.degenerate.items() if name in estimates},
    )


def _column(pairs: Sequence[tuple[float, float]]) -> Column:
    numerators, denominators = ([float(f"{pair[side]:.{DIGITS}g}") for pair in pairs] for side in (0, 1))
    same = len(set(denominators)) == 1
    return Column(numerators=numerators, denominators=denominators[0] if same else denominators)


def _record(run: results.Run, tasks: list[TaskRecord]) -> RunRecord:
    found = averages(tasks)
    record = RunRecord(
        label=run.label,
        model=run.model,
        date=run.date,
        tasks=tasks,
        macro={name: bounded(interval) for name, interval in found.items()},
        degenerate=results.degenerate(found),
        corrected=corrected.shares(run, (), [task.name for task in tasks]),
        utility={name: tuple(map(rounded, estimate)) for name, estimate in run.utility.items()},  # type: ignore[misc]
    )
    return record.model_copy(update={"id": digest(to_text(record).encode())})
