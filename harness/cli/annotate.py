"""``detoxbench annotate``: a sample of generations for people to judge, and what their answers say of the runs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ...core.constants import BOOTSTRAP_SEED
from ...core.errors import DetoxbenchError, unknown
from ..annotation import answers, files, shown, study
from ..annotation.design import DESIGNS
from ..annotation.texts import read_runs
from .output import echo_json

WIDTH = 220
"""Columns of a table that goes to a file or a pipe."""


def annotate(
    paths: Annotated[list[Path], typer.Argument(help="results; answers among them are told apart, with --import")],
    out: Annotated[Path | None, typer.Option(help="folder for the page, the table and the key")] = None,
    per_cell: Annotated[
        int, typer.Option(min=1, help="texts of each run and language, or pairs of each two runs")
    ] = 50,
    design: Annotated[str, typer.Option(help="rating: one text at a time; pairs: two runs on one prompt")] = "rating",
    duplicates: Annotated[float, typer.Option(help="share of the texts that come twice, for self-agreement")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="of the sample and its order")] = BOOTSTRAP_SEED,
    imported: Annotated[
        list[Path] | None, typer.Option("--import", help="answers: .json of the page, .csv or .xlsx")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="with --import: the key.json of the sample")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="with --import: print JSON, with every figure")] = False,
) -> None:
    """Draw texts for people to rate, blind and in random order, and read their answers back.

    ``detoxbench annotate RESULTS… --out rate/`` writes ``rate.html`` and ``rate.csv``, which raters need, and
    ``key.json``, which they do not. ``detoxbench annotate --import rate/*.json --key rate/key.json RESULTS…`` writes
    ``annotations_….json`` beside the results: agreement, the scorer's validity on these texts, and shares of toxic
    texts corrected by what people said."""
    if imported is None:
        if key is not None:
            raise DetoxbenchError("--key goes with --import: give the answers too, --import rate/*.json")
        _draw(paths, out, per_cell, design, duplicates, seed)
    else:
        _import(imported, paths, key, as_json)


def _draw(paths: list[Path], out: Path | None, per_cell: int, design: str, duplicates: float, seed: int) -> None:
    if out is None:
        raise DetoxbenchError("where to? Give --out rate/ to draw a sample, or --import with raters' answers")
    if design not in DESIGNS:
        raise unknown("--design", design, DESIGNS)
    key, items = files.draw(read_runs(paths), design, per_cell, duplicates, seed)
    written = files.write(out, key, items)
    repeated = sum(item.repeats is not None for item in items)
    typer.echo(f"{len(items) - repeated:,} {'pairs' if design == 'pairs' else 'texts'}, {repeated:,} of them twice")
    for path in written[1:]:
        typer.echo(f"for raters: {path}")
    typer.echo(f"not for raters: {written[0]}")
    typer.echo(f"then: detoxbench annotate --import ratings-*.json --key {shlex.join(map(str, [written[0], *paths]))}")


def _import(imported: list[Path], paths: list[Path], key: Path | None, as_json: bool) -> None:
    # A shell spreads rate/*.json over the option and the arguments: what is answers is told by its content.
    results, given = [], list(imported)
    for path in paths:
        (given if _is_answers(path) else results).append(path)
    if key is None:
        raise DetoxbenchError("--import needs --key: the key.json that detoxbench annotate --out wrote")
    if not results:
        raise DetoxbenchError("give the results too, that the sample was drawn from")
    runs, opened = read_runs(results), files.read_key(key)
    found = study.evaluate(opened, answers.read_all(dict.fromkeys(given), opened), runs)
    written = study.write(found, runs)
    if as_json:
        echo_json(found)
        return
    terminal = Console()
    shown.print_study(terminal if terminal.is_terminal else Console(width=WIDTH), found)
    for path in written:
        typer.echo(str(path))


def _is_answers(path: Path) -> bool:
    if path.suffix in (".csv", ".xlsx"):
        return True
    return path.suffix == ".json" and path.is_file() and not path.name.startswith("results_")
