"""``detoxbench check``: exit status 1 if a candidate is significantly worse than its baseline."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from ...core.coverage import COVERAGE_MARGIN
from ...core.errors import DetoxbenchError
from ...core.files import write_text
from ...leaderboard import gate, margins, pairing, reports
from ...leaderboard.gate import Check, Finding
from . import stacked

WIDTH = 160
REGRESSION, BAD_INPUT = 1, 2
SHOWN = 20
"""Failures, and undecided tests, that are printed without ``--all``."""


def check(
    baseline: Annotated[Path, typer.Option(help="folder or results file of what is there already")],
    candidate: Annotated[Path, typer.Option(help="folder or results file of what is to be let in")],
    metric: Annotated[
        list[str] | None,
        typer.Option(help="NAME=+0.02, NAME=x1.1 or, where higher is better, NAME=-0.02; may be repeated"),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="what is undecided fails too")] = False,
    allow_unpaired: Annotated[
        bool, typer.Option("--allow-unpaired", help="test the prompts that both have, though others are missing")
    ] = False,
    coverage_margin: Annotated[
        float, typer.Option(min=0, max=1, help="largest difference of the shares of continuations that both rest on")
    ] = COVERAGE_MARGIN,
    everything: Annotated[bool, typer.Option("--all", help="print every test, not the failures alone")] = False,
    show_text: Annotated[bool, typer.Option("--show-text", help="the worst prompts with their text")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the findings as JSON")] = None,
    junit: Annotated[Path | None, typer.Option(help="write the findings as JUnit XML")] = None,
    github: Annotated[
        bool | None,
        typer.Option("--github/--no-github", help="annotations and summary; default: where GITHUB_ACTIONS is true"),
    ] = None,
) -> None:
    """Exit status 0: no regression; 1: a metric is worse than its margin lets pass, beyond chance, or with --strict a
    test is undecided; 2: not comparable, or bad input. Runs are paired by prompt, per language and on average; all
    tests are corrected together. Empty, unscored and dropped continuations are always tested."""
    annotated = os.environ.get("GITHUB_ACTIONS") == "true" if github is None else github
    try:
        found = gate.check(
            pairing.load(baseline),
            pairing.load(candidate),
            margins.wanted(metric),
            allow_unpaired=allow_unpaired,
            coverage_margin=coverage_margin,
            show_text=show_text,
        )
        _write(json_file, junit, found, None, strict)
        _print(found, strict, everything)
        if annotated:
            _summarize(reports.summary(found, strict=strict))
    except Exception as error:
        # Python's own exit status of a crash is 1, which here means a regression.
        if not isinstance(error, DetoxbenchError | OSError):
            traceback.print_exc()
        message = reports.one_line(error, 4000)
        sys.stderr.write(f"detoxbench: {message}\n".encode("utf-8", "replace").decode())
        if annotated:
            typer.echo(reports.annotation("detoxbench check could not compare", message))
        try:
            _write(json_file, junit, None, message, strict)
            if annotated:
                _summarize(reports.summary(None, message))
        except OSError as second:
            sys.stderr.write(f"detoxbench: {reports.one_line(second)}\n")
        raise typer.Exit(BAD_INPUT) from None
    if annotated:
        for line in reports.annotate(found, strict=strict):
            typer.echo(line)
    if found.regressions or (strict and found.undecided):
        raise typer.Exit(REGRESSION)


def _write(json_file: Path | None, junit: Path | None, found: Check | None, error: str | None, strict: bool) -> None:
    if json_file is not None:
        write_text(json_file, [reports.json_report(found, error)])
    if junit is not None:
        write_text(junit, [reports.junit_report(found, error, strict=strict)])


def _summarize(text: str) -> None:
    """GitHub collects what steps append to this file."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if path:
        with open(path, "a", encoding="utf-8", errors="replace") as file:
            file.write(text + "\n")


def _print(found: Check, strict: bool, everything: bool) -> None:
    console = Console(width=None if Console().is_terminal else WIDTH)
    console.print(reports.headline(found, strict=strict), markup=False, highlight=False)
    for findings in (found.regressions, found.undecided):
        _list(console, findings, everything)
    if everything:
        _tables(console, found.findings)
    elif found.passed:
        console.print(f"{len(found.passed)} tests passed; --all shows every test.")
    if found.unpaired:
        console.print(f"{found.unpaired} prompts are in one of the two only and were left out.")
    for label in found.new:
        console.print(f"Not tested, since the baseline has no such run: {escape(reports.one_line(label))}")


def _list(console: Console, findings: Sequence[Finding], everything: bool) -> None:
    kept = findings if everything else findings[:SHOWN]
    several = len({(finding.run, finding.prompt_set) for finding in findings}) > 1
    for finding in kept:
        word = "REGRESSION" if finding.regression else "undecided"
        where = f"{reports.one_line(finding.run)} · {reports.one_line(finding.prompt_set)}: " if several else ""
        console.print(f"{word}  {where}{reports.sentence(finding)}", markup=False, highlight=False)
        for line in reports.worst(finding):
            console.print(f"    worst prompt {line}", markup=False, highlight=False)
    if len(kept) < len(findings):
        console.print(f"{len(findings) - len(kept)} more; --all shows them.")


def _tables(console: Console, findings: Sequence[Finding]) -> None:
    columns = ("", "baseline", "candidate", "let pass", r"beyond it \[bound]", "q", "prompts", "samples", "")
    tables: dict[tuple[str, str], list[list[str]]] = {}
    for finding in findings:
        key = (finding.run, finding.prompt_set)
        row = [
            f"{escape(reports.one_line(finding.where))} {escape(reports.one_line(finding.metric))}",
            reports.figure(finding.baseline),
            reports.figure(finding.candidate),
            escape(finding.margin),
            rf"{reports.figure(finding.worsening)} \[{reports.figure(finding.bound)}]",
            reports.figure(finding.q),
            str(finding.prompts),
            f"{finding.samples_baseline}, {finding.samples_candidate}",
            "REGRESSION" if finding.regression else finding.verdict,
        ]
        tables.setdefault(key, []).append(row)
    for (run, prompt_set), rows in tables.items():
        stacked.show(console, columns, rows, title=escape(reports.one_line(f"{run} · prompts {prompt_set}")))
