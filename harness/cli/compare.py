"""``detoxbench compare``: two runs, paired by prompt, per language and on average."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...core.comparability import unlike_nuclei
from ...core.errors import DetoxbenchError
from ...core.metrics import with_role

WIDTH = 160


def compare(
    run_a: Annotated[Path, typer.Argument(help="folder or results file of the run compared with")],
    run_b: Annotated[Path, typer.Argument(help="folder or results file of the other run")],
    metric: Annotated[list[str] | None, typer.Option(help="a metric; may be repeated; default: the main ones")] = None,
    everything: Annotated[bool, typer.Option("--all", help="every metric")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print JSON, with every metric unless --metric is given")
    ] = False,
) -> None:
    """What changes from RUN_A to RUN_B: paired differences with 95% intervals (BCa), p corrected over the languages
    (Benjamini-Hochberg), and the smallest difference that would be found with 80% power."""
    from ...leaderboard import compare as comparison
    from ...leaderboard import pairing
    from ...leaderboard.reports import one_line

    default = None if everything or as_json else with_role("main")
    a, b = pairing.load_one(run_a), pairing.load_one(run_b)
    found = comparison.compare(a, b, metric or default)
    for line in unlike_nuclei(a, b):
        typer.echo(f"detoxbench: {line}", err=True)
    for name in metric or ():
        if name not in {change.metric for change in found.changes}:
            known = sorted({name for part in pairing.sections(a, b) for name in part.metrics})
            raise DetoxbenchError(f"--metric '{name}': not in these results; they have {', '.join(known)}")
    if as_json:
        # ASCII, so that lone surrogates in names are written too.
        typer.echo(json.dumps(found.as_json(), indent=2))
        return
    _print(found, one_line)


def _print(found: Any, one_line: Any) -> None:
    console = Console(width=None if Console().is_terminal else WIDTH)
    console.print(f"A: {escape(one_line(found.a))}\nB: {escape(one_line(found.b))}")
    tables: dict[tuple[str, str], Table] = {}
    for change in found.changes:
        title = f"{change.metric.replace('_', ' ')} · prompts {change.prompt_set}"
        key = (change.prompt_set, change.metric)
        if key not in tables:
            columns = ("", "A", "B", "B - A [95%]", "p", "q", "detectable", "prompts")
            tables[key] = Table(*columns, title=escape(one_line(title)), title_justify="left")
        mark = " *" if change.significant else ""
        tables[key].add_row(
            escape(one_line(change.language)),
            _text(change.a),
            _text(change.b),
            f"{_signed(change.change)} [{_signed(change.low)}, {_signed(change.high)}]{mark}".replace("[", r"\["),
            _p(change.p),
            _p(change.q),
            _text(change.minimum_detectable),
            str(change.prompts),
        )
    for table in tables.values():
        console.print(table)
    console.print("* significant: q at most 0.05, corrected over languages; detectable: with 80% power")
    if found.unpaired_a or found.unpaired_b:
        console.print(f"Unpaired and left out: {found.unpaired_a} prompts only in A, {found.unpaired_b} only in B.")
    else:
        console.print("All prompts are in both runs.")


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.1f}" if abs(value) >= 10 else f"{value:+.3f}"


def _p(value: float | None) -> str:
    return "–" if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"
