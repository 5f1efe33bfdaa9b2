"""The overview's section on people's judgement: shares of toxic texts, corrected for the scorer's errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...core.results import Run
from .. import corrected
from ..submissions import Corrected
from ..validity.records import ValidityRecord
from . import figures
from .static_tables import Cell, Prerendered, clean, notes, ordered
from .tables import MACRO, Row, Table

METRIC = "toxic_fraction"
HOW = {"sample": "a sample of its own texts", "labels": "other texts"}
DIGITS = 3


@dataclass(frozen=True)
class Judged:
    """A board's runs that have a corrected share."""

    title: str
    table: Prerendered


def view(tables: Sequence[Table], runs: Mapping[str, Run], published: Sequence[ValidityRecord]) -> list[Judged]:
    """A table for each board that has a corrected share of any run, on average or in its only language.

    Args:
        tables: the boards.
        runs: id of a record -> the run it was read from; others have what their record holds.
        published: validity of scorers.
    """
    found = [(table, _rows(table, runs, published)) for table in tables]
    headings = ["Method", "Model", "By the scorer", "By people", "Change against the base", "Labelled", "People judged"]
    return [
        Judged(table.title, Prerendered(table.id, table.title, headings, rows, len(rows), table.mini))
        for table, rows in found
        if rows
    ]


def _rows(table: Table, runs: Mapping[str, Run], published: Sequence[ValidityRecord]) -> list[list[Cell]]:
    scope = table.languages[0] if len(table.languages) == 1 else MACRO
    found = []
    for row in ordered(table.rows):
        own = runs.get(row.record.id)
        names = [task.name for task in row.record.tasks]
        one = (corrected.shares(own, published, names) if own else row.record.corrected).get(scope)
        if one is not None:
            change = _change(table, row, runs, published).get(scope)
            found.append([
                Cell(clean(row.name), f"run.html#id={row.record.id}", ", ".join(notes(table, row))),
                Cell(clean(row.model)), Cell(figures.estimate(row.estimate(METRIC, scope), DIGITS)), _cell(one),
                _cell(change, True) if change else Cell(figures.NONE), Cell(f"{one.labelled:,}"),
                Cell(f"{HOW[one.by]} ({clean(one.labels)})"),
            ])  # fmt: skip
    return found


def _change(
    table: Table, row: Row, runs: Mapping[str, Run], published: Sequence[ValidityRecord]
) -> Mapping[str, Corrected]:
    base = table.rows[row.base] if row.base is not None else row
    both = [runs.get(one.record.id) for one in (base, row)]
    if base is row or both[0] is None or both[1] is None:
        return {}
    return corrected.differences(both[0], both[1], published, [task.name for task in row.record.tasks])


def _cell(one: Corrected, signed: bool = False) -> Cell:
    show = figures.signed if signed else figures.number
    if one.low is None or one.high is None:
        return Cell(show(one.value, DIGITS))
    return Cell(f"{show(one.value, DIGITS)} {figures.bounds(one.low, one.high, show, DIGITS)}")
