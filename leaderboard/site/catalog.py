"""A page for each method, metric, scorer and model: what is known of it, and where it stands on each board."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ...core.data_overlap import trained_on
from ...core.files import safe_name
from ..validity.records import ValidityRecord
from . import figures, models, scorers
from .cards import Card, combined
from .metrics import PRIMARY, SIDES, describe
from .static_tables import Prerendered, best, standings
from .tables import BASE, Row, Table

KINDS = {"method": "Methods", "model": "Models", "metric": "Metrics", "scorer": "Scorers"}
MOST = 30
"""Rows of a board on one of these pages."""


@dataclass(frozen=True)
class Entry:
    """A page.

    Args:
        kind: one of ``KINDS``.
        name: as in records.
        title, summary: of the page.
        facts: label -> value.
        card: what its author says; None where nothing is registered under the name.
        tables: where it stands, a board each.
        validity: of a scorer, against people's labels.
    """

    kind: str
    name: str
    title: str
    summary: str
    facts: Mapping[str, str]
    card: Card | None = None
    tables: Sequence[Prerendered] = field(default_factory=tuple)
    validity: Sequence[Prerendered] = ()

    @property
    def file(self) -> str:
        """Of the page, in the site's folder."""
        return f"{self.kind}-{safe_name(self.name)}.html"

    @property
    def runs(self) -> int:
        return sum(table.total for table in self.tables)


def entries(
    found: Sequence[Table],
    methods: Mapping[str, Card],
    judges: Mapping[str, Card],
    validity: Sequence[ValidityRecord] = (),
) -> list[Entry]:
    """Every page, by kind and name."""
    every = [*_methods(found, methods), *_models(found), *_metrics(found), *_scorers(found, judges, validity)]
    return sorted(every, key=lambda entry: (list(KINDS).index(entry.kind), entry.name != BASE, entry.name.lower()))


def _where(found: Sequence[Table], keep: Callable[[Row], bool]) -> list[Prerendered]:
    tables = [standings(table, [row for row in table.rows if keep(row)], most=MOST) for table in found]
    return [table for table in tables if table.rows]


def _methods(found: Sequence[Table], cards: Mapping[str, Card]) -> Iterator[Entry]:
    seen = {row.method for table in found for row in table.rows}
    for name in {**dict.fromkeys(cards), **dict.fromkeys(seen)}:
        card = cards.get(name) or combined(name, cards)
        facts = {"Kind": card.kind, "Paper": card.paper, "Licence": card.licence} if card else {}
        summary = card.summary if card else "No method of this name is registered here; its numbers are below."
        tables = _where(found, lambda row, name=name: row.method == name)
        yield Entry("method", name, name, summary, {k: v for k, v in facts.items() if v}, card, tables)


def _models(found: Sequence[Table]) -> Iterator[Entry]:
    for name in dict.fromkeys(row.model for table in found for row in table.rows):
        known = models.facts(name)
        facts = {"Family": known.family, "Parameters": known.shown_parameters, "Licence": known.licence}
        dates = [row.record.date[:10] for table in found for row in table.rows if row.model == name]
        tables = _where(found, lambda row, name=name: row.model == name)
        yield Entry("model", name, name, "", {**facts, "Last measured": max(dates) or figures.NONE}, None, tables)


def _metrics(found: Sequence[Table]) -> Iterator[Entry]:
    for metric in describe(dict.fromkeys(name for table in found for name in table.metrics)).values():
        better = {True: "higher", False: "lower", None: "neither"}[metric.higher_is_better]
        facts = {"Better": better, "Unit": metric.unit, "Source": metric.citation, "Name in results": metric.name}
        notes = {
            PRIMARY: "What boards are ranked by.",
            **dict.fromkeys(SIDES, "Shown beside toxicity: what a method costs."),
        }
        summary = " ".join(part for part in (metric.description, notes.get(metric.name)) if part)
        tables = [made for table in found if (made := best(table, metric.name, most=MOST)).rows]
        yield Entry(
            "metric", metric.name, metric.display_name, summary, {k: v for k, v in facts.items() if v}, None, tables
        )


def _scorers(found: Sequence[Table], cards: Mapping[str, Card], validity: Sequence[ValidityRecord]) -> Iterator[Entry]:
    judged = [scorer for record in validity for scorer in record.scorers]
    for name in dict.fromkeys([*(table.board.measurement.scorer for table in found), *(one.name for one in judged)]):
        card = cards.get(name) or cards.get(name.partition(":")[0])
        boards = [table for table in found if table.board.measurement.scorer == name]
        facts = {
            "Version": ", ".join(
                dict.fromkeys(
                    [
                        *(table.board.measurement.scorer_version for table in boards),
                        *(one.version for one in judged if one.name == name),
                    ]
                )
            ),
            "Scores": ", ".join(dict.fromkeys(table.board.measurement.attributes for table in boards)),
            "Licence": card.licence if card else "",
            "Learned from": ", ".join(trained_on(name)),
        }
        summary = card.summary if card else ""
        tables = [standings(table, table.rows, most=MOST) for table in boards]
        shown = {k: v for k, v in facts.items() if v}
        yield Entry("scorer", name, name, summary, shown, card, tables, scorers.of_scorer(validity, name))
