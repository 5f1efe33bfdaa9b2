"""``detoxbench archive``: publish a score archive, take in published scores, see what there is, repair it."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ...core.errors import DetoxbenchError, unknown
from ...core.language_codes import is_tag
from ...core.scorers import archive_io, published, published_answers, published_files, repair
from ...core.scorers.archive import ScoreArchive, default_path
from .output import echo_json

app = typer.Typer(no_args_is_help=True)

FORMATS = ("auto", "parquet", "perspective", "ptp", "scored")

Archive = Annotated[
    Path | None,
    typer.Option(
        "--archive", help="the archive; $DETOXBENCH_ARCHIVE, or scores.sqlite in $DETOXBENCH_HOME or your data folder"
    ),
]


@app.command("export")
def export_archive(
    out: Annotated[Path, typer.Argument(help="Parquet file to write")],
    archive: Archive = None,
    scorer: Annotated[str | None, typer.Option(help="only the scores of this one")] = None,
    texts: Annotated[bool, typer.Option("--texts/--no-texts", help="with the texts, or with their hashes only")] = True,
) -> None:
    """Write the scores to a Parquet file, to publish them."""
    with ScoreArchive(archive or default_path(), create=False) as store:
        rows = archive_io.export_parquet(store, out, scorer=scorer, texts=texts)
    typer.echo(f"{rows:,} scores written to {out}")


@app.command("import")
def import_into_archive(
    files: Annotated[list[Path], typer.Argument(help="files to read")],
    archive: Archive = None,
    kind: Annotated[str, typer.Option("--format", help=f"one of {', '.join(FORMATS)}")] = "auto",
    generations: Annotated[
        list[Path] | None, typer.Option(help="the texts that a perspective.jsonl answers, in the order of the files")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="when Perspective gave the answers, such as v1alpha1@2021-03")
    ] = None,
    lang: Annotated[str | None, typer.Option(help="language of the texts, where the answers do not say")] = None,
    scorer: Annotated[
        str, typer.Option(help="name of the scorer that a perspective.jsonl is of")
    ] = published_answers.PERSPECTIVE,
) -> None:
    """Read an export; a published perspective.jsonl (with --generations and --version); PolygloToxicityPrompts, as
    Parquet or JSON lines, for the answers embedded in it; or texts with their scores by name, such as
    RealToxicityPrompts and collated generations (with --version and --lang). Scores that are there already stay as they
    are."""
    if kind not in FORMATS:
        raise unknown("format", kind, FORMATS)
    if lang is not None and not is_tag(lang):
        raise DetoxbenchError(f"--lang '{lang}' is not a language tag; give one such as en, pt-BR or zh-Hans")
    kinds = {path: _kind(path, generations is not None) if kind == "auto" else kind for path in files}
    answers = [path for path in files if kinds[path] == "perspective"]
    if len(answers) != len(generations or []):
        raise DetoxbenchError(
            f"{len(answers)} files of answers and {len(generations or [])} of generations: "
            "give one --generations for each"
        )
    if version is None and any(one in ("perspective", "scored") for one in kinds.values()):
        raise DetoxbenchError(
            "say when Perspective gave the answers, with --version v1alpha1@YYYY-MM: scores of different dates are not "
            "comparable"
        )
    texts = dict(zip(answers, generations or [], strict=True))
    with ScoreArchive(archive or default_path()) as store:
        for path in files:
            if kinds[path] == "parquet":
                done = archive_io.import_parquet(store, path)
            elif kinds[path] == "ptp":
                done = published_answers.import_ptp(
                    store, path, version=version or published_answers.PTP_VERSION, lang=lang
                )
            elif kinds[path] == "scored":
                done = published.import_scored(store, path, version=version or "", lang=lang, scorer=scorer)
            else:
                done = published_answers.import_responses(
                    store, published_answers.read_responses(path), published_files.read_generations(texts[path]),
                    version=version or "", lang=lang, scorer=scorer,
                )  # fmt: skip
            typer.echo(f"{path}: {done.read:,} scores read, {done.added:,} new, {done.skipped:,} without an answer")


def _kind(path: Path, with_generations: bool) -> str:
    if path.suffix == ".parquet" and archive_io.is_export(path):
        return "parquet"
    if path.suffix != ".parquet" and with_generations:
        return "perspective"
    return "scored" if published.has_scores(path) else "ptp"


@app.command("repair")
def repair_archive(
    archive: Archive = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be removed")] = False,
) -> None:
    """Remove each "no score" that was no refusal of the text itself, such as a redirect of a captive portal, so that it
    is asked for again. Scores stay as they are."""
    with ScoreArchive(archive or default_path(), create=False) as store:
        found = repair.poisoned(store)
        for one in found:
            removed = len(one.hashes) if dry_run else store.forget(one.key, one.hashes)
            (reason, _), *others = one.reasons.most_common()
            typer.echo(
                f"{one.key.scorer} {one.key.version}, {one.key.language}: {removed:,} "
                f"{'to be removed' if dry_run else 'removed'}: {reason[:120]}"
                + (f", and {len(others)} other reasons" if others else "")
            )
        total = sum(len(one.hashes) for one in found)
        typer.echo(
            f"{store.path}: {total:,} texts without a score that were no refusal of the text"
            + ("" if dry_run or not total else "; the next run asks for them again")
        )


@app.command("stats")
def show_stats(
    archive: Archive = None, as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False
) -> None:
    """What the archive holds: scorer, version, language, attributes, texts, and when they were scored."""
    path = archive or default_path()
    with ScoreArchive(path, create=False) as store:
        found = store.stats()
    if as_json:
        entries = [{**entry, "attributes": json.loads(str(entry["attributes"]))} for entry in found]
        echo_json(entries)
        return
    table = Table(
        "scorer", "version", "lang", "attributes", "texts", "unscored", "with text", "scored", title=str(path)
    )
    for entry in found:
        when = f"{_day(entry['first'])} to {_day(entry['last'])}"
        names = ", ".join(json.loads(str(entry["attributes"])))
        numbers = (f"{entry[name]:,}" for name in ("texts", "unscored", "with_text"))
        table.add_row(str(entry["scorer"]), str(entry["version"]), str(entry["language"]), names, *numbers, when)
    console = Console()
    Console(width=None if console.is_terminal else 220).print(table)


def _day(seconds: Any) -> str:
    return f"{datetime.fromtimestamp(int(seconds), timezone.utc):%Y-%m-%d}"
