"""Runs as records: one strict JSON file a run, small enough for a pull request and complete enough to rank by.

A record keeps, of every metric, the estimate with its interval, and what each prompt contributed (numerator and
denominator), so that runs can be compared prompt by prompt without their texts. It holds no prompt and no generation.
Files of a records folder are written once and never changed: the name is a digest of the content.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pydantic

from ..core.errors import DetoxbenchError
from ..core.metrics.fractions import averaged
from ..core.parsing import parse_json
from ..core.records import ModelRun, TaskRun
from ..core.results import first_error
from ..core.statistics import Interval, macro_intervals
from . import content_named

SCHEMA_VERSION = 1
DIGITS = 6
"""Significant digits kept: far below any interval's width."""

Number = pydantic.FiniteFloat
Estimate = tuple[Number | None, Number | None, Number | None]
"""Value, lower and upper bound; None where there is none."""
Weight = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True)


class Column(Strict):
    """One metric over the prompts of a task: ``sum(numerators) / sum(denominators)`` is its value.

    Args:
        numerators: [prompts].
        denominators: [prompts], or one number if all prompts have the same.
    """

    numerators: list[Number]
    denominators: list[Weight] | Weight

    def pair(self) -> tuple[np.ndarray, np.ndarray]:
        """Both as arrays [prompts]."""
        numerators = np.asarray(self.numerators, dtype=float)
        if isinstance(self.denominators, list):
            return numerators, np.asarray(self.denominators, dtype=float)
        return numerators, np.full(len(numerators), float(self.denominators))


class TaskRecord(Strict):
    """One task (one language) of a run.

    Args:
        name: lm-eval's task name.
        run: what its numbers depend on.
        metrics: name -> estimate, subsets of prompts included.
        prompts: number of prompts measured.
        of: number of prompts that the task has; None where the run did not say.
        docs: numbers of these prompts within the set [prompts]; empty if the run kept no samples.
        columns: metric -> contributions of the prompts, in the order of ``docs``; empty if the run kept no samples.
        degenerate: metric -> why it has a value and no interval.
    """

    name: str
    run: TaskRun
    metrics: dict[str, Estimate]
    prompts: Annotated[int, pydantic.Field(ge=0)]
    docs: list[Annotated[int, pydantic.Field(ge=0)]] = []
    columns: dict[str, Column] = {}
    of: Annotated[int, pydantic.Field(gt=0)] | None = None
    degenerate: dict[str, str] = {}

    @property
    def limited(self) -> bool:
        """Whether only some of the task's prompts were measured (``--limit``)."""
        return self.of is not None and self.prompts < self.of

    @property
    def language(self) -> str:
        """The BCP-47 tag of the prompts, or the task's name where they are mixed."""
        return self.run.lang or self.name

    @pydantic.model_validator(mode="after")
    def _one_place_a_prompt(self) -> TaskRecord:
        if len(set(self.docs)) != len(self.docs):
            raise ValueError(f"task '{self.name}': a prompt is there twice")
        for name, column in self.columns.items():
            sizes = {len(column.numerators)}
            if isinstance(column.denominators, list):
                sizes.add(len(column.denominators))
            if sizes != {len(self.docs)}:
                raise ValueError(f"task '{self.name}', metric '{name}': {sizes} places for {len(self.docs)} prompts")
        return self


class Corrected(Strict):
    """A share of toxic texts as people would judge it, or a difference of two; see ``leaderboard/corrected.py``.

    Args:
        value, low, high: estimate and 95% interval; None where there is none. A prediction-powered value may lie a
            little outside 0 and 1.
        by: ``sample``, people rated a sample of the run's own texts; ``labels``, other texts.
        labels: the study, or the label set.
        labelled: texts that people judged.
    """

    value: Annotated[float, pydantic.Field(ge=-1, le=2, allow_inf_nan=False)]
    low: Annotated[float, pydantic.Field(ge=-1, le=1)] | None
    high: Annotated[float, pydantic.Field(ge=-1, le=1)] | None
    by: Literal["sample", "labels"]
    labels: Annotated[str, pydantic.Field(max_length=200)]
    labelled: Annotated[int, pydantic.Field(ge=0)]


class RunRecord(Strict):
    """A model under a method, on some tasks.

    Args:
        id: digest of the record's file; not in the file itself, which is named after it.
        label: model and method in one line.
        model: how the text was made; None for models other than ``detox``.
        date: when lm-eval wrote the results, as in its file's name.
        tasks: at least one.
        macro: metric -> macro-average over the tasks; empty if a task kept no samples.
        degenerate: metric -> why its macro-average has a value and no interval.
        corrected: language, or ``macro`` -> share of toxic texts as people judge it, where a sample was rated.
        utility: accuracies of lm-eval's own tasks, see ``core/utility.py``.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    id: Annotated[str, pydantic.Field(exclude=True)] = ""
    label: str
    model: ModelRun | None
    date: str
    tasks: Annotated[list[TaskRecord], pydantic.Field(min_length=1)]
    macro: dict[str, Estimate] = {}
    degenerate: dict[str, str] = {}
    corrected: dict[str, Corrected] = {}
    utility: dict[str, Estimate] = {}

    @property
    def whole(self) -> dict[str, Estimate]:
        """What is measured of the run rather than of its prompts: what the method costs, what the model can still
        do."""
        return {**({} if self.model is None else self.model.cost), **self.utility}

    @pydantic.model_validator(mode="after")
    def _one_task_a_language(self) -> RunRecord:
        languages = [task.language for task in self.tasks]
        if unknown := set(self.corrected) - {*languages, "macro"}:
            raise ValueError(f"corrected shares of a language that it has not: {min(unknown)[:40]!r}")
        if len(set(languages)) != len(languages):
            raise ValueError("a language is there twice")
        return self


def rounded(number: float | None) -> float | None:
    """To ``DIGITS`` significant digits; None for what is not finite."""
    if number is None or not math.isfinite(number):
        return None
    return float(f"{number:.{DIGITS}g}")


def macro_average(tasks: Sequence[TaskRecord]) -> dict[str, Estimate]:
    """Mean over the tasks of each metric, with the interval that resamples prompts within each task."""
    return {name: bounded(found) for name, found in averages(tasks).items()}


def bounded(found: Interval) -> Estimate:
    """An interval as records have it."""
    return rounded(found.value), rounded(found.low), rounded(found.high)


def averages(tasks: Sequence[TaskRecord]) -> dict[str, Interval]:
    """``macro_average``, with the reason where there is no interval."""
    names = [name for name in tasks[0].columns if averaged(name) and all(name in task.columns for task in tasks)]
    if not names:
        return {}
    groups = []
    for task in tasks:
        pairs = [task.columns[name].pair() for name in names]
        groups.append((np.stack([n for n, _ in pairs]), np.stack([d for _, d in pairs])))
    return dict(zip(names, macro_intervals(groups), strict=True))


def to_text(record: RunRecord) -> str:
    """A record as its file holds it: one task a line, so that a pull request's difference can be read.

    What has its default is left out: a field that a later version adds leaves the digests of earlier runs as they were.
    """
    content = {"schema_version": SCHEMA_VERSION, **record.model_dump(mode="json", exclude_defaults=True)}
    tasks = ",\n".join("    " + json.dumps(task, separators=(",", ":")) for task in content.pop("tasks"))
    return json.dumps(content, indent=2)[:-2] + ',\n  "tasks": [\n' + tasks + "\n  ]\n}\n"


def read(path: Path) -> RunRecord:
    """One file of a records folder.

    Raises:
        DetoxbenchError: if it is no record, or its content is not what its name says.
    """
    try:
        content = path.read_bytes()
        parse_json(content)  # refuses equal keys, of which pydantic's own reader takes the last
        record = RunRecord.model_validate_json(content)
    except OSError as error:
        raise DetoxbenchError(f"'{path}': {error.strerror}") from None
    except pydantic.ValidationError as error:
        raise DetoxbenchError(f"'{path}': not a record: {first_error(error)}") from None
    except ValueError as error:
        raise DetoxbenchError(f"'{path}': not a record: {error}") from None
    return record.model_copy(update={"id": content_named.checked(path, content)})


def slim(record: RunRecord, metrics: Collection[str]) -> RunRecord:
    """The record with the prompts' contributions to those metrics only; estimates stay. It keeps its ``id``."""
    if all(set(task.columns) <= set(metrics) for task in record.tasks):
        return record
    tasks = [
        task.model_copy(update={"columns": {name: task.columns[name] for name in task.columns if name in metrics}})
        for task in record.tasks
    ]
    return record.model_copy(update={"tasks": tasks})


def append(folder: Path, records: Iterable[RunRecord]) -> list[Path]:
    """Write those records that the folder does not have yet; see ``content_named.append``."""
    return content_named.append(folder, ((record.id, to_text(record)) for record in records))
