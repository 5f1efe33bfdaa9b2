"""The figures of a paper from some runs, as the leaderboard draws them: SVG, PNG and PDF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...core.results import Run
from ...leaderboard.reading import from_results
from ...leaderboard.site import plots
from ...leaderboard.site.tables import tables

FORMATS = ("svg", "png", "pdf")


def draw(runs: Sequence[Run], folder: Path) -> list[Path]:
    """Of each board: a forest plot of the methods with intervals, the trade-off, and changes by language.

    Raises:
        DetoxbenchError: without the package vl-convert-python; for results that cannot be believed.
    """
    records = [record for run in runs for record, _ in from_results(run.path)]
    return [path for table in tables(records) for path in plots.draw(folder, table, FORMATS)]
