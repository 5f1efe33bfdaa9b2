"""Two runs as arrays over the prompts that both have, paired by what the prompt is and never by its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydantic

from ..core import results
from ..core.errors import DetoxbenchError
from ..core.metric_names import metric_of
from ..core.metrics import METRICS
from ..core.results import Run, TaskResult, first_error
from ..core.validation import recomputed

Identity = tuple[str, str, str, int]
"""Language, id and text of a prompt, and how many equal ones came before it."""
Rows = dict[Identity, dict[str, tuple[float, float]]]
"""Of a prompt, each metric's numerator and denominator."""
Labels = dict[Identity, frozenset[str]]
"""Of a prompt, what it is grouped by."""


@dataclass(frozen=True)
class Section:
    """The tasks of one prompt set in two runs.

    Args:
        prompt_set: its name.
        languages: of the tasks; a task's name where two have one language.
        metrics: those that both runs have in all tasks.
        a, b: for each language the numerators and denominators [2, metrics, prompts], the same prompts in both.
        prompts: for each language who they are, in the order of the arrays.
        labels: for each language what its prompts are grouped by in both runs, as ``grouping=value``; in that order.
        unpaired: for each language the number of prompts that only a has, and that only b has.
    """

    prompt_set: str
    languages: tuple[str, ...]
    metrics: tuple[str, ...]
    a: tuple[np.ndarray, ...]
    b: tuple[np.ndarray, ...]
    prompts: tuple[tuple[Identity, ...], ...]
    unpaired: tuple[tuple[int, int], ...]
    labels: tuple[tuple[frozenset[str], ...], ...] = ()

    def columns(self, side: int, language: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Metric -> numerators and denominators [prompts] of a (0) or b (1) in one language, by its place."""
        column = (self.a, self.b)[side][language]
        return {name: (column[0, m], column[1, m]) for m, name in enumerate(self.metrics)}


def direction(metric: str) -> bool | None:
    """Whether higher is better, from the metric's metadata; None where neither is or the metric is not known."""
    metric = metric_of(metric)
    return METRICS[metric].higher_is_better if metric in METRICS else None


def load(folder: Path) -> dict[str, Run]:
    """The newest run of each label (model and method) below a folder, or in the one file given.

    Raises:
        DetoxbenchError: in one line, for whatever is wrong with the files.
    """
    runs = [_read(path) for path in results.find(folder)]
    return {run.label: run for run in sorted(runs, key=lambda run: (run.date, str(run.path)))}


def load_one(folder: Path) -> Run:
    """The only run below a folder; the newest, if it was made several times.

    Raises:
        DetoxbenchError: as ``load``, and for runs of several models or methods.
    """
    runs = load(folder)
    if len(runs) > 1:
        given = "; ".join(f"{run.path} ({label})" for label, run in runs.items())
        raise DetoxbenchError(f"'{folder}': {len(runs)} different runs are in it; give one file of: {given}")
    return next(iter(runs.values()))


def _read(path: Path) -> Run:
    try:
        return results.read(path)
    except pydantic.ValidationError as error:
        raise DetoxbenchError(f"'{path}': its detoxbench block is not valid: {first_error(error)}") from None
    except (AttributeError, TypeError) as error:
        raise DetoxbenchError(f"'{path}': not a results file of lm-eval ({error})") from None


def rows_of(task: TaskResult) -> tuple[Rows, Labels]:
    """The measurements of a task by prompt, computed from its samples, those of other packages' metrics as written; and
    what the prompts are grouped by.

    Raises:
        DetoxbenchError: if there is no samples file, or it is not one.
    """
    if task.samples is None:
        raise DetoxbenchError(f"task '{task.name}' has no samples file; run lm_eval with --log_samples")
    seen: Counter[tuple[str, str, str]] = Counter()
    rows: Rows = {}
    labels: Labels = {}
    for row in task.read_samples():
        key = (row.doc.lang, row.doc.id, row.doc.text)
        try:
            computed = recomputed(task.record, row.result())
        except pydantic.ValidationError as error:
            raise DetoxbenchError(f"'{task.samples}', doc_id {row.doc_id}: {first_error(error)}") from None
        rows[(*key, seen[key])] = {**row.measured.fractions, **computed}
        labels[(*key, seen[key])] = frozenset(row.measured.groups)
        seen[key] += 1
    return rows, labels


def sections(a: Run, b: Run) -> list[Section]:
    """Both runs' measurements of the tasks that both have, by prompt set.

    Raises:
        DetoxbenchError: if a task has no samples, or the two have no prompt in common in it.
    """
    by_set: dict[str, list[str]] = {}
    for name, task in a.tasks.items():
        if name in b.tasks:
            by_set.setdefault(task.record.prompt_set, []).append(name)
    return [_section(prompt_set, names, a, b) for prompt_set, names in by_set.items()]


def _section(prompt_set: str, names: Sequence[str], a: Run, b: Run) -> Section:
    read = [(rows_of(a.tasks[name]), rows_of(b.tasks[name])) for name in names]
    pairs = [(one, other) for (one, _), (other, _) in read]
    for name, (one, other) in zip(names, pairs, strict=True):
        if not one.keys() & other.keys():
            raise DetoxbenchError(
                f"task '{name}': the runs have no prompt in common ({len(one)} and {len(other)} prompts)"
            )
    every = [row for sides in pairs for rows in sides for row in rows.values()]
    metrics = tuple(name for name in every[0] if all(name in row for row in every))
    langs = [a.tasks[name].record.lang or name for name in names]
    languages = langs if len(set(langs)) == len(langs) else list(names)
    shared = [[key for key in one if key in other] for one, other in pairs]

    def columns(rows: Rows, keys: Sequence[Identity]) -> np.ndarray:
        return np.array([[rows[key][metric] for metric in metrics] for key in keys], dtype=float).transpose(2, 1, 0)

    return Section(
        prompt_set=prompt_set,
        languages=tuple(languages),
        metrics=metrics,
        a=tuple(columns(one, keys) for (one, _), keys in zip(pairs, shared, strict=True)),
        b=tuple(columns(other, keys) for (_, other), keys in zip(pairs, shared, strict=True)),
        prompts=tuple(map(tuple, shared)),
        unpaired=tuple((len(one.keys() - other), len(other.keys() - one)) for one, other in pairs),
        labels=tuple(
            tuple(one[key] & other[key] for key in keys)
            for ((_, one), (_, other)), keys in zip(read, shared, strict=True)
        ),
    )
