"""``detoxbench report``: results as one compact table, or as JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...core import results
from ...core.constants import FAILED_SHARE_WARNING
from ...core.records import TaskRun
from ...core.results import Run, TaskResult
from ...core.statistics import Interval, macro_intervals

SHOWN = {
    "expected_max_toxicity": "EMT",
    "toxicity_probability": "tox. prob.",
    "toxic_fraction": "tox. frac.",
    "perplexity": "perplexity",
    "bits_per_byte": "bits/byte",
    "dist1": "dist-1",
    "dist2": "dist-2",
    "dist3": "dist-3",
    "language_consistency": "lang.",
}
"""Columns of the table; ``--json`` and ``--all`` have every metric."""

MACRO = "macro"
Row = dict[str, Interval | None]


def report(
    paths: Annotated[list[Path], typer.Argument(help="folders or files that lm_eval --output_path wrote")],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, with every metric")] = False,
    everything: Annotated[bool, typer.Option("--all", help="every metric, one row each")] = False,
) -> None:
    """One compact table a run: language x metric as ``value [low, high]``, and the macro-average over languages with
    its stratified interval (resampled within each language; it needs the samples that ``--log_samples`` wrote)."""
    runs = [results.read(path) for folder in paths for path in results.find(folder)]
    if as_json:
        typer.echo(json.dumps([_as_json(run) for run in runs], ensure_ascii=False, indent=2))
        return
    console = Console()
    for run in runs:
        for name, tasks in _boards(run).items():
            _print(console, run, name, tasks, everything)


def _boards(run: Run) -> dict[str, list[TaskResult]]:
    """Groups of the run, and its tasks that are in none, by what they can be compared in."""
    boards = {group: [run.tasks[name] for name in names] for group, names in run.groups.items()}
    grouped = {name for names in run.groups.values() for name in names}
    loose: dict[str, list[TaskResult]] = {}
    for name, task in run.tasks.items():
        if name not in grouped:
            record = task.record
            kind = (record.prompt_set, record.samples, record.protocol, record.sampling_protocol, record.generation)
            loose.setdefault(repr(kind), []).append(task)
    return boards | {", ".join(task.name for task in tasks): tasks for tasks in loose.values()}


def task_row(task: TaskResult) -> Row:
    """A task's metrics with their intervals, as lm-eval's results file has them."""
    row: Row = {}
    for name, value in task.metrics.items():
        if not name.endswith(("_ci_low", "_ci_high")) and name != results.MEASURED:
            low, high = (task.metrics.get(f"{name}_ci_{bound}", math.nan) for bound in ("low", "high"))
            row[name] = Interval(value, low, high, "bca", int(task.metrics.get(results.MEASURED, 0)), 0, 0.95)
    return row


def macro_row(tasks: list[TaskResult]) -> Row:
    """Macro-average over the tasks, and its stratified interval; empty if a task has no samples file."""
    rows = [task.rows() for task in tasks]
    if not tasks or not all(rows):
        return {}
    names = list(rows[0][0])
    groups = []
    for prompts in rows:
        columns = np.array([[prompt[name] for name in names] for prompt in prompts])  # [prompts, metrics, 2]
        groups.append((columns[:, :, 0].T, columns[:, :, 1].T))
    return dict(zip(names, macro_intervals(groups), strict=True))


def _protocol(record: TaskRun) -> str:
    """What a title says of the protocols, where they are not the usual ones."""
    sampling = "" if record.sampling_protocol == "rtp" else f" ({record.sampling_protocol})"
    return sampling + ("" if record.protocol == "base" else f" · {record.protocol}")


def _text(interval: Interval | None) -> str:
    if interval is None or math.isnan(interval.value):
        return "–"
    digits = 1 if abs(interval.value) >= 10 else 3
    if math.isnan(interval.low):
        return f"{interval.value:.{digits}f}"
    return f"{interval.value:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def _print(console: Console, run: Run, name: str, tasks: list[TaskResult], everything: bool) -> None:
    first = tasks[0].record
    title = escape(
        f"{run.label} · {name} · prompts {first.prompt_set} · K={first.samples}{_protocol(first)} · "
        f"scorer {first.scorer}{' (self-judged)' if first.self_judged else ''} · "
        f"fluency {first.fluency_model or 'none'}"
    )
    rows = {task.record.lang or task.name: task_row(task) for task in tasks}
    if len(tasks) > 1:
        rows[MACRO] = macro_row(tasks)
    metrics = list(next(iter(rows.values()))) if everything else list(SHOWN)
    if everything:
        table = Table("metric", *rows, title=title, title_justify="left")
        for metric in metrics:
            table.add_row(metric, *(_text(row.get(metric)) for row in rows.values()))
    else:
        table = Table("", *(SHOWN[metric] for metric in metrics), title=title, title_justify="left")
        for lang, row in rows.items():
            table.add_row(lang, *(_text(row.get(metric)) for metric in metrics), end_section=lang == list(rows)[-2:][0])
    # A table is not squeezed to a pipe's 80 columns.
    Console(width=None if console.is_terminal else 220).print(table)
    _notes(console, rows, tasks)


def _notes(console: Console, rows: dict[str, Row], tasks: list[TaskResult]) -> None:
    if MACRO in rows and not rows[MACRO]:
        console.print("No macro-average interval: a task has no samples file; run lm_eval with --log_samples.")
    for lang, row in rows.items():
        failed = row.get("failed_fraction")
        if failed is not None and failed.value > FAILED_SHARE_WARNING:
            console.print(f"{lang}: {failed.value:.1%} of the generations could not be scored and are left out.")


def _as_json(run: Run) -> dict[str, Any]:
    def plain(row: Row) -> dict[str, Any]:
        return {
            name: None
            if interval is None
            else {key: None if math.isnan(getattr(interval, key)) else getattr(interval, key)
                  for key in ("value", "low", "high")}
            for name, interval in row.items()
        }  # fmt: skip

    boards = {}
    for name, tasks in _boards(run).items():
        boards[name] = {
            "tasks": {task.name: {**task.record.model_dump(), "metrics": plain(task_row(task))} for task in tasks},
            "macro": plain(macro_row(tasks)) if len(tasks) > 1 else None,
        }
    return {
        "file": run.path.name,
        "label": run.label,
        "model": run.model.model_dump() if run.model else None,
        "groups": boards,
    }
