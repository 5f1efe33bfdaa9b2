"""Tables as they stand in the pages, for readers without JavaScript, for printers and for search engines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import figures
from .metrics import DEFAULT, PRIMARY, describe
from .tables import MACRO, Row, Table

MOST = 200
"""Rows of a board in the page itself; all are in its downloads."""
LONGEST = 110
TIE = "="
"""After a rank that several runs share."""


@dataclass(frozen=True)
class Cell:
    """Text, and where it leads."""

    text: str
    href: str = ""
    note: str = ""


@dataclass(frozen=True)
class Prerendered:
    """A table of strings.

    Args:
        id, title: of the board.
        headings: of the columns; the first is the row's.
        rows: first cell is the row's heading.
        total: rows that there are.
        mini: the embedded model, prompts or scorer.
        worth: what its scorer's numbers are worth; empty where that is not the question.
    """

    id: str
    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    total: int
    mini: bool
    worth: str = ""


def heading(name: str) -> str:
    """A metric with an arrow to where it is better."""
    metric = describe([name])[name]
    return metric.display_name + {True: " ↑", False: " ↓", None: ""}[metric.higher_is_better]


def clean(text: str) -> str:
    """A name in one line: no control or direction marks, not too long."""
    shown = "".join(sign if sign.isprintable() else chr(0x2400 + ord(sign)) if sign < " " else " " for sign in text)
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"


def ordered(rows: Sequence[Row]) -> list[Row]:
    """By rank, then by value; those without a rank last."""
    return sorted(rows, key=lambda row: (row.ranks[MACRO] or 1 << 30, row.estimate(PRIMARY)[0] or 2.0, row.record.id))


def counted(table: Table, row: Row) -> str:
    """How many prompts and continuations a row is of."""
    k = table.board.measurement.samples
    if row.limited:
        available = sum(task.of or task.prompts for task in row.tasks.values())
        return f"{row.prompts} of {available} × {k}"
    return f"{row.prompts} × {k}"


def notes(table: Table, row: Row) -> list[str]:
    """Why a row has no rank, or what stands beside its name."""
    found = []
    if row.self_judged:
        found.append("self-judged")
    if row.limited:
        found.append("limited")
    if row.uncovered:
        found.append(f"other coverage than its base in {len(row.uncovered)} of {len(table.languages)} languages")
    if row.nucleus:
        found.append("another nucleus than its base")
    if row.overlaps:
        found.append("shared data: " + "; ".join(row.overlaps))
    if row.missing:
        found.append(f"{len(table.languages) - len(row.missing)} of {len(table.languages)} languages")
    return found


def rank(table: Table, row: Row) -> str:
    """The rank over all languages, with the sign of a tie where another run shares it."""
    found = row.ranks[MACRO]
    shared = sum(other.ranks[MACRO] == found for other in table.rows) > 1
    return figures.NONE if found is None else f"{found}{TIE if shared else ''}"


def _name(table: Table, row: Row) -> Cell:
    return Cell(clean(row.name), f"run.html#id={row.record.id}", ", ".join(notes(table, row)))


def board(table: Table) -> Prerendered:
    """A board as the overview opens with it."""
    return standings(table, table.rows, most=MOST)


def standings(table: Table, rows: Sequence[Row], *, most: int) -> Prerendered:
    """Some rows of a board with its default columns."""
    metrics = [name for name in DEFAULT if name in table.metrics] or list(table.metrics)[:4]
    digits = {name: figures.places(row.estimate(name)[0] for row in table.rows) for name in metrics}
    lines = [
        [
            _name(table, row),
            Cell(clean(row.model)),
            Cell(rank(table, row)),
            *(Cell(figures.estimate(row.estimate(name), digits[name])) for name in metrics),
            Cell(counted(table, row)),
            Cell(row.record.date[:10]),
        ]
        for row in ordered(rows)[:most]
    ]
    headings = ["Method", "Model", "Rank", *map(heading, metrics), "Prompts × K", "Date"]
    return Prerendered(table.id, table.title, headings, lines, len(rows), table.mini, table.worth)


def best(table: Table, metric: str, *, most: int) -> Prerendered:
    """The rows of a board by one metric, the better first."""
    known = [row for row in table.rows if row.estimate(metric)[0] is not None]
    sign = -1.0 if describe([metric])[metric].higher_is_better else 1.0
    known.sort(key=lambda row: (sign * (row.estimate(metric)[0] or 0.0), row.record.id))
    digits = figures.places(row.estimate(metric)[0] for row in known)
    lines = [
        [_name(table, row), Cell(clean(row.model)), Cell(figures.estimate(row.estimate(metric), digits)),
         Cell(counted(table, row))]
        for row in known[:most]
    ]  # fmt: skip
    headings = ["Method", "Model", heading(metric), "Prompts × K"]
    return Prerendered(table.id, table.title, headings, lines, len(known), table.mini, table.worth)


def by_language(table: Table) -> Prerendered:
    """Changes of ``PRIMARY`` against the base in each language; a star where one is significant."""
    rows = [row for row in ordered(table.rows) if row.changes.get(PRIMARY)]
    # The average over one language is that language.
    scopes = (MACRO, *table.languages) if len(table.languages) > 1 else tuple(table.languages)
    lines = []
    for row in rows[:MOST]:
        cells = [_name(table, row)]
        for scope in scopes:
            change = row.changes[PRIMARY].get(scope)
            star = "*" if change and change.significant else ""
            cells.append(Cell(figures.signed(change.value if change else None, 3) + star))
        lines.append(cells)
    headings = ["Method", *(["All"] if MACRO in scopes else []), *(name + table.mark(name) for name in table.languages)]
    return Prerendered(table.id, table.title, headings, lines, len(rows), table.mini, table.worth)
