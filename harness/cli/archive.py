"""``detoxbench archive``: publish a score archive, take in published scores, see what there is."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ...core.errors import DetoxbenchError, unknown
from ...core.scorers import archive_io
from ...core.scorers.archive import ScoreArchive, default_path

app = typer.Typer(no_args_is_help=True)

FORMATS = ("auto", "parquet", "perspective", "ptp")

Archive = Annotated[
    Path | None,
    typer.Option("--archive", help="the archive; $DETOXBENCH_ARCHIVE, or detoxbench/scores.sqlite in your data folder"),
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
    ] = archive_io.PERSPECTIVE,
) -> None:
    """Read an export; a published perspective.jsonl (with --generations and --version); or PolygloToxicityPrompts, as
    Parquet or JSON lines, for the answers embedded in it. Scores that are there already stay as they are."""
    if kind not in FORMATS:
        raise unknown("format", kind, FORMATS)
    kinds = {path: _kind(path, generations is not None) if kind == "auto" else kind for path in files}
    answers = [path for path in files if kinds[path] == "perspective"]
    if len(answers) != len(generations or []):
        raise DetoxbenchError(
            f"{len(answers)} files of answers and {len(generations or [])} of generations: "
            "give one --generations for each"
        )
    if answers and version is None:
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
                done = archive_io.import_ptp(store, path, **({"version": version} if version else {}), lang=lang)
            else:
                done = archive_io.import_responses(
                    store, archive_io.read_responses(path), archive_io.read_generations(texts[path]),
                    version=version or "", lang=lang, scorer=scorer,
                )  # fmt: skip
            typer.echo(f"{path}: {done.read:,} scores read, {done.added:,} new, {done.skipped:,} without an answer")


def _kind(path: Path, with_generations: bool) -> str:
    if path.suffix != ".parquet":
        return "perspective" if with_generations else "ptp"
    return "parquet" if archive_io.is_export(path) else "ptp"


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
        typer.echo(json.dumps(entries, ensure_ascii=False, indent=2))
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
