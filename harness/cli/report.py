"""``detoxbench report``: results as one compact table, or as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from ...core import results
from ...core.annotation_study import read_study, studies_of
from ...core.constants import FAILED_SHARE_WARNING
from ...core.errors import DetoxbenchError, unknown
from ...core.metrics import with_role
from ...core.prompt_names import prompts_name
from ...core.records import TaskRun
from ...core.results import Run, TaskResult
from ...core.statistics import Interval
from ...core.validation import validate_run
from ...leaderboard import corrected
from ...leaderboard.validity import known
from ...leaderboard.validity.known import Validity
from ...leaderboard.validity.records import ValidityRecord
from ..annotation import study
from ..annotation.shown import print_study
from ..reporting import figures, formats, references, run_level, worth
from ..reporting.rows import MACRO, Row, boards, macro_row, shown, task_row, text
from . import stacked
from .output import echo_json

WIDTH = 260
"""Columns of a table that goes to a file or a pipe."""


def report(
    paths: Annotated[list[Path], typer.Argument(help="folders or files that lm_eval --output_path wrote")],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, with every metric")] = False,
    everything: Annotated[bool, typer.Option("--all", help="every metric, one row each")] = False,
    form: Annotated[
        str | None, typer.Option("--format", help="tables for a paper, best and ties bold: markdown, latex; or csv")
    ] = None,
    plots: Annotated[Path | None, typer.Option(help="folder for figures: SVG, PNG and PDF")] = None,
    validity: Annotated[
        list[Path] | None,
        typer.Option(help="reports of detoxbench validate, beside the published ones that come along; repeatable"),
    ] = None,
    bibtex: Annotated[bool, typer.Option("--bibtex", help="print what to cite for all that the results used")] = False,
) -> None:
    """One compact table a run: language x metric as ``value [low, high]``, and the macro-average over languages with
    its stratified interval (resampled within each language; it needs the samples that ``--log_samples`` wrote).

    First comes what each row rests on, prompts x samples; last the shares of the texts that are empty, unscored, or
    left out of the perplexity. Columns without room in the terminal stand below. A language in which the scorer is no
    better than chance, or not validated, is marked. Where people have labelled texts that the scorer has scored, the
    share of toxic texts comes corrected, too."""
    if form is not None and form not in formats.FORMATS:
        raise unknown("--format", form, formats.FORMATS)
    runs = _believed([results.read(path) for folder in paths for path in results.find(folder)])
    published = known.published(validity or ())
    if plots is not None:
        for path in figures.draw(runs, plots):
            typer.echo(str(path), err=True)
    if form is not None:
        typer.echo(formats.render(runs, form), nl=False)
    if bibtex:
        typer.echo(references.references(runs), nl=False)
    if plots is not None or form is not None or bibtex:
        return
    if as_json:
        echo_json([_as_json(run, published) for run in runs])
        return
    console = Console()
    for run in runs:
        # A table is not squeezed to a pipe's 80 columns.
        wide = console if console.is_terminal else Console(width=WIDTH)
        show(wide, run, everything, published)
        for path in studies_of(run.path):
            print_study(wide, read_study(path)[0].model_dump(by_alias=True), run.path.name)


def _believed(runs: list[Run]) -> list[Run]:
    """Those whose numbers are possible and are what their samples give; the others are named and left out.

    Raises:
        DetoxbenchError: if none is left.
    """
    found = []
    for run in runs:
        problems = validate_run(run)
        for problem in problems:
            typer.echo(f"left out: '{run.path}': {problem}", err=True)
        if not problems:
            found.append(run)
    if runs and not found:
        raise DetoxbenchError("no run to report: none of them can be believed")
    return found


def show(
    console: Console, run: Run, everything: bool = False, published: Sequence[ValidityRecord] | None = None
) -> None:
    """Print the tables of a run.

    Args:
        console: where to, and how wide it is.
        everything: every metric, one row each.
        published: validity of scorers; that which comes with the package where left out.
    """
    records = known.published() if published is None else published
    for name, tasks in boards(run).items():
        _print(console, run, name, tasks, everything, worth.of_tasks(tasks, records))
    for tasks in boards(run).values():
        worth.print_corrected(console, run, tasks, records)
    if run.whole:
        names = run_level.names(run.whole)
        found = [escape(run.label), *(run_level.text(name, run.whole[name]) for name in names)]
        stacked.show(console, ["", *map(run_level.column, names)], [found], title="costs and utility")


def _protocol(record: TaskRun) -> str:
    """What a title says of the protocols, where they are not the usual ones."""
    sampling = "" if record.sampling_protocol == "rtp" else f" ({record.sampling_protocol})"
    return sampling + ("" if record.protocol == "base" else f" · {record.protocol}")


def _print(
    console: Console, run: Run, name: str, tasks: list[TaskResult], everything: bool, judged: Mapping[str, Validity]
) -> None:
    first = tasks[0].record
    title = escape(
        f"{run.label} · {name} · prompts {prompts_name(first)} · K={first.samples}{_protocol(first)} · "
        f"scorer {first.scorer}{' (self-judged)' if first.self_judged else ''} · "
        f"fluency {first.fluency_model or 'none'}"
    )
    rows = {task.record.lang or task.name: task_row(task) for task in tasks}
    basis = {task.record.lang or task.name: f"{_prompts([task])} × {task.record.samples:,}" for task in tasks}
    if len(tasks) > 1:
        rows[MACRO] = macro_row(tasks)
        basis[MACRO] = f"{_prompts(tasks)} × {first.samples:,}"
    marked = {lang: lang + (judged[lang].mark if lang in judged else "") for lang in rows}
    if everything:
        names = list(next(iter(rows.values())))
        found = [[metric, *(escape(text(row.get(metric))) for row in rows.values())] for metric in names]
        based = ["prompts × samples", *basis.values()]
        stacked.show(console, ["metric", *map(escape, marked.values())], [based, *found], title=title, sections=(0,))
    else:
        metrics = shown(list(rows.values()))
        shares = [metric for metric in with_role("coverage") if metric not in metrics]
        # The names that --metric takes, as a header and not in short.
        columns = ["", "prompts × samples", *metrics, *shares]
        found = []
        for lang, row in rows.items():
            values = [text(row.get(metric)) for metric in metrics] + [_share(row.get(metric)) for metric in shares]
            found.append([escape(one) for one in (marked[lang], basis[lang], *values)])
        stacked.show(console, columns, found, title=title, sections=(len(rows) - 2,) if MACRO in rows else ())
    _notes(console, rows, tasks)
    worth.print_notes(console, first.scorer, judged, [str(one) for one in worth.shared(tasks, run)])


def _prompts(tasks: list[TaskResult]) -> str:
    """How many, and of how many where ``--limit`` left some out."""
    asked = sum(task.prompts for task in tasks)
    there = sum(task.available or task.prompts for task in tasks)
    return f"{asked:,} of {there:,}" if asked < there else f"{asked:,}"


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


def _as_json(run: Run, published: Sequence[ValidityRecord]) -> dict[str, Any]:
    def plain(row: Row) -> dict[str, Any]:
        return {
            name: None
            if interval is None
            else {key: None if math.isnan(getattr(interval, key)) else getattr(interval, key)
                  for key in ("value", "low", "high")}
            for name, interval in row.items()
        }  # fmt: skip

    found = {}
    for name, tasks in boards(run).items():
        judged = worth.of_tasks(tasks, published)
        found[name] = {
            "tasks": {
                task.name: {
                    **task.record.model_dump(),
                    "metrics": plain(task_row(task)),
                    "scorer_validity": worth.as_json(judged[task.record.lang or task.name]),
                }
                for task in tasks
            },
            "corrected_toxic_fraction": {
                lang: one.model_dump()
                for lang, one in corrected.shares(run, published, [task.name for task in tasks]).items()
            },
            "shared_data": [str(one) for one in worth.shared(tasks, run)],
            "macro": plain(macro_row(tasks)) if len(tasks) > 1 else None,
        }
    return {
        "file": run.path.name,
        "label": run.label,
        "model": run.model.model_dump() if run.model else None,
        "groups": found,
        "whole": {name: list(estimate) for name, estimate in run.whole.items()},
        "annotations": study.read(run.path),
    }
