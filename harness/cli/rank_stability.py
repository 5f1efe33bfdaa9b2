"""``detoxbench compare --rankings``: the same runs under two scorers, and whether both put them in one order."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...core import results
from ...core.errors import DetoxbenchError
from ...core.statistics.rank_agreement import RankAgreement
from ...leaderboard.rankings import PRIMARY, Stability, stabilities
from ...leaderboard.reading import Samples, from_results
from ...leaderboard.reports import one_line
from ...leaderboard.submissions import RunRecord

__all__ = ["PRIMARY", "run"]

WIDTH = 160


def run(a: Path, b: Path, metrics: Sequence[str], as_json: bool) -> None:
    """Print the rank stability of each metric.

    Raises:
        DetoxbenchError: where the two folders hold no run that two scorers have judged.
    """
    read = [pair for path in dict.fromkeys([*results.find(a), *results.find(b)]) for pair in from_results(path)]
    found = [one for metric in metrics for one in stabilities([record for record, _ in read], metric)]
    if not found:
        scorers = sorted({task.run.scorer for record, _ in read for task in record.tasks})
        raise DetoxbenchError(
            f"'{a}' and '{b}': no run in them was judged by two scorers on the same prompts (scorers: "
            f"{', '.join(scorers)}); judge the texts of a run again with detoxbench score, and keep --log_samples"
        )
    for line in _unlike(found, read):
        typer.echo(f"detoxbench: {line}", err=True)
    if as_json:
        typer.echo(json.dumps([one.as_json() for one in found], indent=2))
        return
    console = Console(width=None if Console().is_terminal else WIDTH)
    for one in found:
        _show(console, one)
    console.print(
        "Kendall's tau-b of the two orders: 1 is the same, 0 none in common, -1 turned round. 95% intervals resample "
        "prompts, the same for all runs and both scorers.",
        highlight=False,
    )


def _unlike(found: Sequence[Stability], read: Sequence[tuple[RunRecord, Samples]]) -> list[str]:
    """Runs whose texts are not the same under the two scorers, so that part of what differs is the sampling."""
    texts = {
        record.id: {lang: [list(row.generations) for row in rows] for lang, rows in samples.items()}
        for record, samples in read
    }
    return list(dict.fromkeys(
        f"{one_line(label)}: the two scorers judged other texts: part of what differs is the sampling"
        for one in found for label, (a, b) in zip(one.runs, one.ids, strict=True) if texts[a] != texts[b]
    ))  # fmt: skip


def _show(console: Console, found: Stability) -> None:
    scorers = " and ".join(f"{name} ({version[:12]})" for name, version in (found.a, found.b))
    title = f"{found.metric.replace('_', ' ')} · prompts {found.prompt_set} · {scorers} · {len(found.runs)} runs"
    console.print(escape(one_line(title)), highlight=False, soft_wrap=True)
    table = Table("", "tau-b [95%]", "prompts")
    for lang, one in {**found.languages, "macro": found.macro}.items():
        table.add_row(escape(lang), _text(one), f"{one.prompts:,}")
    console.print(table)
    if found.left_out:
        console.print(f"Left out: {found.left_out} runs that were not judged by both on the same prompts.")


def _text(found: RankAgreement) -> str:
    if not math.isfinite(found.tau):
        return f"– ({found.reason})"
    return escape(f"{found.tau:.2f} [{found.low:.2f}, {found.high:.2f}]") if math.isfinite(found.low) else (
        f"{found.tau:.2f} ({found.reason})"
    )  # fmt: skip
