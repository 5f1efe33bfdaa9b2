"""``detoxbench compare``: two runs, paired by prompt, per language and on average."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from ...core import data_overlap
from ...core.comparability import unlike_nuclei
from ...core.coverage import COVERAGE_MARGIN
from ...core.errors import unknown
from ...core.metric_names import metric_of
from ...core.metrics import with_role
from ...core.results import Run
from ...leaderboard import compare as comparison
from ...leaderboard import corrected, pairing
from ...leaderboard.compare import Change, Comparison
from ...leaderboard.reports import one_line
from ...leaderboard.validity import known
from ..reporting import worth
from . import rank_stability, stacked

WIDTH = 160


def compare(
    run_a: Annotated[Path, typer.Argument(help="folder or results file of the run compared with")],
    run_b: Annotated[Path, typer.Argument(help="folder or results file of the other run")],
    metric: Annotated[list[str] | None, typer.Option(help="a metric; may be repeated; default: the main ones")] = None,
    everything: Annotated[bool, typer.Option("--all", help="every metric")] = False,
    rankings: Annotated[
        bool,
        typer.Option(
            "--rankings", help="the folders hold the same runs under two scorers: how far do the two rank them alike?"
        ),
    ] = False,
    coverage_margin: Annotated[
        float, typer.Option(min=0, max=1, help="largest difference of the shares of continuations that both rest on")
    ] = COVERAGE_MARGIN,
    as_json: Annotated[
        bool, typer.Option("--json", help="print JSON, with every metric unless --metric is given")
    ] = False,
) -> None:
    """What changes from RUN_A to RUN_B: paired differences with 95% intervals, p by the sign-flip test, q corrected
    over the languages (Benjamini-Hochberg), and the smallest difference that would be found with 80% power.

    With --rankings, two folders of the same runs, judged by two scorers (``detoxbench score``): Kendall's tau-b of the
    two orders, by language and on average, with an interval over prompts."""
    if rankings:
        rank_stability.run(run_a, run_b, metric or [rank_stability.PRIMARY], as_json)
        return
    default = None if everything or as_json else with_role("main")
    a, b = pairing.load_one(run_a), pairing.load_one(run_b)
    found = comparison.compare(a, b, metric or default, coverage_margin=coverage_margin)
    people = corrected.differences(a, b, known.published())
    for line in shared_data(a, b):
        typer.echo(f"detoxbench: {line}", err=True)
    for line in unlike_nuclei(a, b):
        typer.echo(f"detoxbench: {line}", err=True)
    for name in metric or ():
        if name not in {change.metric for change in found.changes}:
            there = sorted({one for part in pairing.sections(a, b) for one in part.metrics})
            raise unknown("metric", name, there, "These are in the results.")
    if as_json:
        # ASCII, so that lone surrogates in names are written too.
        moved = {lang: one.model_dump() for lang, one in people.items()}
        typer.echo(json.dumps({**found.as_json(), "corrected_toxic_fraction": moved}, indent=2))
        return
    console = Console(width=None if Console().is_terminal else WIDTH)
    show(found, console)
    worth.print_differences(console, people)


def shared_data(a: Run, b: Run) -> list[str]:
    """What scorer, method and prompts of either run have seen of one another's texts, one line each."""
    found = {}
    for name, run in (("A", a), ("B", b)):
        for task in run.tasks.values():
            for one in data_overlap.of_run(task.record, run.model):
                found.setdefault(str(one), {})[name] = None
    return [f"shared data, {' and '.join(sides)}: {words}" for words, sides in found.items()]


def show(found: Comparison, console: Console) -> None:
    """Print a comparison: a table a metric and prompt set, and what the marks mean."""
    console.print(f"A: {escape(one_line(found.a))}\nB: {escape(one_line(found.b))}")
    tables: dict[tuple[str, str], tuple[str, list[str], list[list[str]]]] = {}
    for change in found.changes:
        title = f"{change.metric.replace('_', ' ')} · prompts {change.prompt_set}"
        key = (change.prompt_set, change.metric)
        ratio = metric_of(change.metric) in comparison.RATIOS
        if key not in tables:
            columns = ["", "A", "B", r"B - A \[95%]", "p", "q", "detectable", "prompts", "samples A, B"]
            columns[4:4] = [r"B / A \[95%]"] if ratio else []
            tables[key] = (escape(one_line(title)), columns, [])
        cells = [
            escape(one_line(change.language)),
            _text(change.a),
            _text(change.b),
            _interval(_signed(change.change), _signed(change.low), _signed(change.high)) + _mark(change),
        ]
        if ratio:
            cells.append(_interval(_factor(change.ratio), _factor(change.ratio_low), _factor(change.ratio_high)))
        cells += [_p(change.p), _p(change.q), _text(change.minimum_detectable), str(change.prompts)]
        tables[key][2].append([*cells, f"{change.samples_a}, {change.samples_b}"])
    for title, columns, rows in tables.values():
        stacked.show(console, columns, rows, title=title)
    _legend(console, found)


def _legend(console: Console, found: Comparison) -> None:
    """What the marks mean, as far as they are there."""
    console.print(
        "* significant: q at most 0.05. p is the sign-flip test's: how often exchanging A and B, prompt by prompt at "
        "random, gives as large a difference; the interval is what that test does not reject, so it holds 0 exactly if "
        "p is 0.05 or more. q is p corrected over the languages of a metric (Benjamini-Hochberg): an interval that is "
        "narrow and without 0 may have no star beside many other languages.",
        markup=False,
        highlight=False,
    )
    console.print("detectable: the true difference that so many prompts find with 80% power.", highlight=False)
    if any(change.ratio is not None for change in found.changes):
        console.print("B / A: geometric mean over prompts, then over languages; 1 is no change.", highlight=False)
    for reason in dict.fromkeys(change.reason for change in found.changes if change.reason):
        console.print(f"No interval, or one without width: {one_line(reason)}.", markup=False, highlight=False)
    for change in found.changes:
        if change.not_comparable:
            line = f"! not comparable: {change.metric} of {change.language} {change.not_comparable}"
            console.print(one_line(line), markup=False, highlight=False)
    if found.unpaired_a or found.unpaired_b:
        console.print(f"Unpaired and left out: {found.unpaired_a} prompts only in A, {found.unpaired_b} only in B.")
    else:
        console.print("All prompts are in both runs.")


def _mark(change: Change) -> str:
    return " !" if change.not_comparable else " *" if change.significant else ""


def _interval(value: str, low: str, high: str) -> str:
    return value if low == high == "–" else rf"{value} \[{low}, {high}]"


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.1f}" if abs(value) >= 10 else f"{value:+.3f}"


def _factor(value: float | None) -> str:
    return "–" if value is None else f"x{value:.3g}"


def _p(value: float | None) -> str:
    return "–" if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"
