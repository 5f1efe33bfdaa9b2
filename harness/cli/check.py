"""``detoxbench check``: exit status 1 if a candidate is significantly worse than its baseline."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...core.errors import DetoxbenchError
from ...core.files import write_text

WIDTH = 160
REGRESSION, BAD_INPUT = 1, 2


def check(
    baseline: Annotated[Path, typer.Option(help="folder or results file of what is there already")],
    candidate: Annotated[Path, typer.Option(help="folder or results file of what is to be let in")],
    metric: Annotated[
        list[str] | None,
        typer.Option(help="NAME=+0.02, NAME=x1.1 or, where higher is better, NAME=-0.02; may be repeated"),
    ] = None,
    allow_unpaired: Annotated[
        bool, typer.Option(help="test the prompts that both have, though others are missing")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the findings as JSON")] = None,
    junit: Annotated[Path | None, typer.Option(help="write the findings as JUnit XML")] = None,
    github: Annotated[
        bool | None, typer.Option("--github/--no-github", help="annotations; default: where GITHUB_ACTIONS is true")
    ] = None,
) -> None:
    """Exit status 0: no regression; 1: a metric is worse than its margin lets pass, beyond chance; 2: not comparable,
    or bad input. Runs are paired by prompt, per language and on average; all tests are corrected together."""
    from ...leaderboard import reports

    annotate = os.environ.get("GITHUB_ACTIONS") == "true" if github is None else github
    try:
        found = _run(baseline, candidate, metric, allow_unpaired)
        _write(reports, json_file, junit, found, None)
        _print(found, reports)
    except Exception as error:
        # Python's own exit status of a crash is 1, which here means a regression.
        if not isinstance(error, DetoxbenchError | OSError):
            traceback.print_exc()
        message = reports.one_line(error, 4000)
        sys.stderr.write(f"detoxbench: {message}\n".encode("utf-8", "replace").decode())
        if annotate:
            typer.echo(reports.annotation("detoxbench check could not compare", message))
        try:
            _write(reports, json_file, junit, None, message)
        except OSError as second:
            sys.stderr.write(f"detoxbench: {reports.one_line(second)}\n")
        raise typer.Exit(BAD_INPUT) from None
    if annotate:
        for line in reports.annotate(found):
            typer.echo(line)
    if found.regressions:
        raise typer.Exit(REGRESSION)


def _run(baseline: Path, candidate: Path, metric: list[str] | None, allow_unpaired: bool) -> Any:
    from ...leaderboard import gate, margins, pairing

    return gate.check(
        pairing.load(baseline),
        pairing.load(candidate),
        margins.parse(metric or margins.DEFAULT),
        allow_unpaired=allow_unpaired,
        skip_unmeasured=not metric,
    )


def _write(reports: Any, json_file: Path | None, junit: Path | None, found: Any, error: str | None) -> None:
    for path, render in ((json_file, reports.json_report), (junit, reports.junit_report)):
        if path is not None:
            write_text(path, [render(found, error)])


def _print(found: Any, reports: Any) -> None:
    console = Console(width=None if Console().is_terminal else WIDTH)
    columns = ("", "metric", "baseline", "candidate", "let pass", "beyond it [bound]", "q", "prompts", "")
    tables: dict[tuple[str, str], Table] = {}
    for finding in found.findings:
        key = (finding.run, finding.prompt_set)
        if key not in tables:
            title = escape(reports.one_line(f"{finding.run} · prompts {finding.prompt_set}"))
            tables[key] = Table(*columns, title=title, title_justify="left")
        beyond = rf"{reports.figure(finding.worsening)} \[{reports.figure(finding.bound)}]"
        tables[key].add_row(
            escape(reports.one_line(finding.language)),
            escape(reports.one_line(finding.metric)),
            reports.figure(finding.baseline),
            reports.figure(finding.candidate),
            escape(finding.margin),
            beyond,
            reports.figure(finding.q),
            str(finding.prompts),
            "REGRESSION" if finding.regression else "ok",
        )
    for table in tables.values():
        console.print(table)
    if found.unpaired:
        console.print(f"{found.unpaired} prompts are in one of the two only and were left out.")
    for label in found.new:
        console.print(f"Not tested, since the baseline has no such run: {escape(reports.one_line(label))}")
    console.print(f"{len(found.regressions)} regressions in {len(found.findings)} tests.")
