"""``detoxbench score``: how toxic texts are that are there already, under one or several scorers."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...core import results, results_writer
from ...core.constants import AUTO, FAILED_SHARE_WARNING
from ...core.errors import DetoxbenchError
from ...core.files import make_folder, safe_name
from ...core.metrics import METRICS
from ...core.progress import Stages
from ...core.scorers import Scorer
from ..reporting.rows import MACRO, macro_row, shown, task_row
from ..reporting.rows import text as _text
from . import sources
from .sources import Source

STOPPED = 130
"""Exit status after Ctrl-C, as shells have it."""


def score(
    files: Annotated[list[Path], typer.Argument(help="generation files, or lm-eval's samples_*.jsonl")],
    scorer: Annotated[
        list[str],
        typer.Option(
            default_factory=lambda: [AUTO],
            show_default=AUTO,
            help="name or name:argument; may be repeated; 'given' for the scores in the files; 'auto' is the "
            "best-validated one on this machine that knows the languages",
        ),
    ],
    out: Annotated[Path, typer.Option(help="folder for results; those of the same file and scorer are replaced")],
    archive: Annotated[
        Path | None, typer.Option(help="score archive; by default $DETOXBENCH_ARCHIVE or your data folder; 'none'")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="score from the archive alone; list what it lacks")
    ] = False,
    lang: Annotated[
        str | None, typer.Option(help="language of the texts where a file does not say; identified otherwise")
    ] = None,
    on_unsupported: Annotated[
        str | None, typer.Option(help="'error' (the default), or 'nan' to leave other languages unscored")
    ] = None,
    fluency_model: Annotated[
        str, typer.Option(help="model to measure perplexity with; 'kept' takes what a run's own samples have")
    ] = "none",
    prompts: Annotated[
        bool, typer.Option("--prompts/--no-prompts", help="score prompts too, for results on toxic and other prompts")
    ] = True,
) -> None:
    """Score files of generations, and write every metric with its interval: results and samples files as lm-eval's, for
    ``detoxbench report`` and ``compare``, and the texts with their scores in the published systems' format.

    Every score is in the archive before it is used: run the same command again to go on after a stop. Exit status 1 if
    texts are missing from the archive with --offline, 2 if not one text of a file, or
    of a language of it, could be scored."""
    runs = sources.read(files, lang)
    for run in runs:
        _announce(run)
    loaded = sources.load(scorer, runs, archive=archive, offline=offline, on_unsupported=on_unsupported)
    written: list[Path] = []
    missing = False
    nothing: list[tuple[str, str, str]] = []
    try:
        with _progress(runs, loaded, fluency_model, prompts) as progress:
            shared = {id(part): _judged(part, fluency_model, progress) for run in runs for part in run.parts}
            for spec, one in loaded:
                for run in runs:
                    path, reason = _score(run, spec, one, shared, out, fluency_model, prompts, progress)
                    written.append(path)
                    if reason is not None and not (isinstance(one, Scorer) and one.missing):
                        nothing.append((run.label, one.name, reason))
                missing |= _missing(spec, one, out)
    except KeyboardInterrupt:
        typer.echo(
            "detoxbench: stopped; what was answered is in the archive: run the same command again to go on", err=True
        )
        raise typer.Exit(STOPPED) from None
    _print([results.read(path) for path in written])
    typer.echo(f"written to {out}; see also: detoxbench report '{out}' --all")
    if nothing:
        raise DetoxbenchError(
            "; ".join(f"{label}, {name}: no text could be scored: {reason}" for label, name, reason in nothing)
        )
    if missing:
        raise typer.Exit(1)


def _announce(run: Source) -> None:
    for file, _ in run.files:
        if file.identified:
            typer.echo(
                f"{file.path}: taken to be in '{file.identified}', as identified; --lang says otherwise", err=True
            )
        numbers = {len(texts) for texts in file.generations}
        if len(numbers) > 1:
            typer.echo(
                f"{file.path}: prompts have {min(numbers)} to {max(numbers)} generations; expected maximum toxicity "
                "depends on their number",
                err=True,
            )


def _progress(runs: Sequence[Source], loaded: Sequence[tuple[str, Any]], fluency_model: str, prompts: bool) -> Stages:
    """Of all files under all scorers."""
    from ...tasks import rescore

    parts = [part for run in runs for part in run.parts]
    return Stages("scoring", rescore.work(parts, [one for _, one in loaded], fluency_model, prompts=prompts))


def _judged(part: Any, fluency_model: str, progress: Stages) -> tuple[Any, dict[str, float]]:
    from ...tasks import rescore

    return rescore.judged(part, fluency_model, progress=progress)


def _score(
    run: Source, spec: str, scorer: Any, shared: dict, out: Path, fluency_model: str, prompts: bool, progress: Stages
) -> tuple[Path, str | None]:
    """One run under one scorer: its results file, and, where not one text of a task or language got a score, why."""
    from ...tasks import rescore, unscored

    folder = out / safe_name(run.folder) / safe_name(spec)
    outputs, rows, outcome = [], [], {}
    for part in run.parts:
        start = time.perf_counter()
        with_prompts, found = rescore.scored(part, scorer, prompts=prompts, progress=progress)
        judged, seconds = shared[id(part)]
        seconds = {**seconds, "scoring": round(time.perf_counter() - start, 3)}
        teachers = run.model.trained_with if run.model else ()
        outputs.append(rescore.output(with_prompts, scorer, found, judged, fluency_model, seconds, teachers))
        rows += rescore.collated(with_prompts, found)
        outcome[part.task] = unscored.nothing_scored(found.reasons)
    results_writer.write_lines(folder / "generations.jsonl", rows)
    path = results_writer.write_run(folder, outputs, label=run.label, model=run.model, groups=run.groups)
    failures = unscored.failed(outcome)
    few = len(failures) < len(outcome)
    why = dict.fromkeys(f"{reason} ({task})" if few else reason for task, reason in failures.items())
    return path, ", ".join(why) or None


def _missing(spec: str, scorer: Any, out: Path) -> bool:
    """Say, and write, what the archive lacks of one scorer."""
    found = scorer.missing if isinstance(scorer, Scorer) else {}
    path = out / f"missing_{safe_name(spec)}.jsonl"
    if not found:
        path.unlink(missing_ok=True)
        return False
    make_folder(out)
    number = scorer.write_missing(path)
    typer.echo(
        f"{spec}: {number:,} texts are not in the archive '{scorer.archived_in}' and are unscored; they are listed in "
        f"{path}, which can be scored like any file",
        err=True,
    )
    return True


def _print(runs: Sequence[results.Run]) -> None:
    """All runs in one table, a row for each scorer and language."""
    rows: list[tuple[str, str, str, str, dict]] = []
    failed: list[str] = []
    for run in runs:
        done = list(run.tasks.values())
        first = done[0].record
        about = (run.label, first.scorer)
        for task in done:
            row = task_row(task)
            rows.append((*about, task.record.lang or task.name, str(task.prompts), row))
            share = row["failed_fraction"].value if row["failed_fraction"] else math.nan
            if share > FAILED_SHARE_WARNING:
                failed.append(f"{run.label}, {first.scorer}: {share:.1%} of the generations could not be scored")
        if len(done) > 1:
            rows.append((*about, MACRO, "", macro_row(done)))
    every = [row for *_, row in rows]
    names = [name for name in shown(every) if any(row.get(name) and not math.isnan(row[name].value) for row in every)]
    table = Table("run", "scorer", "lang", "prompts", *(METRICS[name].column for name in names))
    for label, scorer, lang, prompts, row in rows:
        table.add_row(escape(label), escape(scorer), lang, prompts, *(_text(row.get(name)) for name in names))
    console = Console()
    Console(width=None if console.is_terminal else 220).print(table)
    for line in failed:
        typer.echo(line, err=True)
