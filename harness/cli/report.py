"""``detoxbench report``: results as one compact table, or as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...core import results
from ...core.comparability import Measurement, table_of
from ...core.constants import CONFIDENCE, FAILED_SHARE_WARNING
from ...core.metrics import METRICS, with_role
from ...core.metrics.fractions import averaged
from ...core.records import TaskRun
from ...core.results import Run, TaskResult
from ...core.statistics import Interval, macro_intervals

MACRO = "macro"
Row = dict[str, Interval | None]
WIDTH = 260
"""Columns of a table that goes to a file or a pipe."""


def report(
    paths: Annotated[list[Path], typer.Argument(help="folders or files that lm_eval --output_path wrote")],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, with every metric")] = False,
    everything: Annotated[bool, typer.Option("--all", help="every metric, one row each")] = False,
) -> None:
    """One compact table a run: language x metric as ``value [low, high]``, and the macro-average over languages with
    its stratified interval (resampled within each language; it needs the samples that ``--log_samples`` wrote).

    First comes what each row rests on: prompts x samples, and the shares of the texts that are empty, unscored, or left
    out of the perplexity."""
    runs = [results.read(path) for folder in paths for path in results.find(folder)]
    if as_json:
        typer.echo(json.dumps([_as_json(run) for run in runs], ensure_ascii=False, indent=2))
        return
    console = Console()
    for run in runs:
        # A table is not squeezed to a pipe's 80 columns.
        show(console if console.is_terminal else Console(width=WIDTH), run, everything)


def show(console: Console, run: Run, everything: bool = False) -> None:
    """Print the tables of a run.

    Args:
        console: where to, and how wide it is.
        everything: every metric, one row each.
    """
    for name, tasks in _boards(run).items():
        _print(console, run, name, tasks, everything)


def _boards(run: Run) -> dict[str, list[TaskResult]]:
    """Groups of the run, and its tasks that are in none, by what they can be compared in."""
    boards = {group: [run.tasks[name] for name in names] for group, names in run.groups.items()}
    grouped = {name for names in run.groups.values() for name in names}
    loose: dict[Measurement, list[TaskResult]] = {}
    for name, task in run.tasks.items():
        if name not in grouped:
            loose.setdefault(table_of(task.record), []).append(task)
    return boards | {", ".join(task.name for task in tasks): tasks for tasks in loose.values()}


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
    basis = {task.record.lang or task.name: f"{task.prompts:,} × {task.record.samples:,}" for task in tasks}
    if len(tasks) > 1:
        rows[MACRO] = macro_row(tasks)
        basis[MACRO] = f"{sum(task.prompts for task in tasks):,} × {first.samples:,}"
    if everything:
        table = Table("metric", *rows, title=title, title_justify="left")
        table.add_row("prompts × samples", *basis.values(), end_section=True)
        for metric in next(iter(rows.values())):
            table.add_row(metric, *(_text(row.get(metric)) for row in rows.values()))
    else:
        metrics = shown(list(rows.values()))
        shares = with_role("coverage")
        about = " · ".join(METRICS[metric].column for metric in shares)
        columns = (METRICS[metric].column for metric in metrics)
        table = Table("", "prompts × samples", about, *columns, title=title, title_justify="left")
        for lang, row in rows.items():
            left_out = " · ".join(_share(row.get(metric)) for metric in shares)
            found = (_text(row.get(metric)) for metric in metrics)
            table.add_row(lang, basis[lang], left_out, *found, end_section=lang == list(rows)[-2:][0])
    console.print(table)
    _notes(console, rows, tasks)


def shown(rows: Sequence[Row]) -> list[str]:
    """The metrics that a compact table has a column of: those declared so that the results know."""
    return [name for name in with_role("report") if any(name in row for row in rows)]


def _share(interval: Interval | None) -> str:
    """A share without its interval."""
    return "–" if interval is None or math.isnan(interval.value) else f"{interval.value:.2%}"


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
