"""``detoxbench submit``: results as records of the leaderboard, checked, with what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from ...leaderboard.validity.records import ValidityRecord


def submit(
    results: Annotated[
        list[Path] | None,
        typer.Argument(
            help="folders or files that lm_eval --output_path wrote, with samples; reports of detoxbench validate"
        ),
    ] = None,
    records: Annotated[Path, typer.Option(help="records folder: new runs are added to it")] = Path("leaderboard/runs"),
    scorers: Annotated[Path, typer.Option(help="folder of scorers' validity: new reports are added to it")] = Path(
        "leaderboard/scorers"
    ),
    check: Annotated[
        bool, typer.Option("--check", help="only say whether what is given, or all records, holds")
    ] = False,
) -> None:
    """Check results as the leaderboard does, write the record of each run, and say what to do with it. Reports of
    ``detoxbench validate --out`` become records of the scorers' validity.

    Every number is computed from the samples again. Exit status 1 if a file is left out, and nothing is written then.
    """
    from ...core.errors import DetoxbenchError
    from ...leaderboard import submissions
    from ...leaderboard.site import sources, tables
    from ...leaderboard.validity import records as validity

    console, errors = Console(soft_wrap=True, highlight=False), Console(stderr=True, soft_wrap=True, highlight=False)
    if not results and not check:
        raise DetoxbenchError("nothing to submit: give folders of results, or --check for the records that are there")
    reports = [path for path in results or () if validity.is_report_file(path)]
    runs = [path for path in results or () if path not in reports]
    found = sources.gather(runs, None if results else records)
    judged = _judged(reports, None if results else scorers, found.problems)
    for problem in found.problems:
        errors.print(f"left out: {problem}", markup=False)
    if not found.records and not reports and not found.problems:
        raise DetoxbenchError(f"no record in '{records}'")
    if found.problems:
        errors.print("detoxbench: nothing was written: mend or remove what is left out", markup=False)
        raise typer.Exit(1)
    for record in found.records if results else []:
        console.print(record.label, markup=False)
        for note in tables.obstacles(record):
            console.print(f"  {note}", markup=False)
    if check:
        count = len(found.records)
        console.print(f"{count} {'run holds' if count == 1 else 'runs hold'}", markup=False)
        if judged:
            said = "report of validity holds" if len(judged) == 1 else "reports of validity hold"
            console.print(f"{len(judged)} {said}", markup=False)
        return
    written = submissions.append(records, found.records) if found.records else []
    written += validity.append(scorers, judged) if judged else []
    for path in written:
        console.print(f"wrote {path}", markup=False)
    if not written:
        console.print(f"nothing new: {records} and {scorers} have these already", markup=False)
        return
    console.print(
        f"\nnext:\n"
        f"  1. look at it: detoxbench leaderboard --records {records} --scorers {scorers} --out site "
        f"&& detoxbench leaderboard serve site\n"
        f"  2. git checkout -b my-run && git add {' '.join(map(str, written))} && git commit -m 'Leaderboard: a run'\n"
        f"  3. open a pull request with these files alone; its template asks what readers must know",
        markup=False,
    )


def _judged(reports: list[Path], folder: Path | None, problems: list[str]) -> list[ValidityRecord]:
    """The given reports, or the records of a folder; what is wrong with one is told."""
    from ...core.errors import DetoxbenchError
    from ...leaderboard.validity import records

    kept = sorted(folder.glob("*.json")) if folder is not None and folder.is_dir() else []
    found = []
    for path, read in [*((path, records.read) for path in reports), *((path, records.read_kept) for path in kept)]:
        try:
            found.append(read(path))
        except DetoxbenchError as error:
            problems.append(str(error))
    return found
