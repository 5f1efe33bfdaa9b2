"""Runs of one kind as a table of a paper: method x metric, and method x language, the best and its ties known.

Runs share a table where they may be compared. Ties of the best are those that the paired test on the shared prompts
cannot tell from it (sign-flip, Benjamini-Hochberg over the others in the column); without samples, those whose value
lies within the best one's interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...core.comparability import table_of
from ...core.constants import CONFIDENCE
from ...core.errors import DetoxbenchError
from ...core.metric_names import on_subset
from ...core.metrics import METRICS, with_role
from ...core.prompt_names import prompts_name
from ...core.results import Run, TaskResult
from ...core.statistics import Interval, benjamini_hochberg, paired_macro_differences
from ...leaderboard.pairing import Section, sections
from .rows import MACRO, Row, macro_row, task_row

PAIRED = "ties: no significant difference from the best (paired sign-flip test, Benjamini–Hochberg)"
OVERLAP = "ties: value within the interval of the best (no samples to pair)"


@dataclass(frozen=True)
class Cell:
    """A number of the table; ``best`` for the best of its column and its ties."""

    interval: Interval
    best: bool = False


@dataclass
class Grid:
    """One table.

    Args:
        title: what it shows.
        columns: name -> heading.
        rows: run's label -> column -> cell, None where nothing was measured.
        note: how ties were told.
    """

    title: str
    columns: dict[str, str]
    rows: dict[str, dict[str, Cell | None]]
    note: str


@dataclass
class Board:
    """Runs that share a table, with everything that the tables are made of.

    Args:
        about: prompt set, K and scorer, in words.
        runs: label -> run, in the order given.
        rows: label -> language, or ``macro`` -> its metrics.
    """

    about: str
    runs: dict[str, Run]
    rows: dict[str, dict[str, Row]]
    languages: list[str]
    _sections: dict[tuple[str, str], Section | None] = field(default_factory=dict)

    @property
    def overall(self) -> str:
        """The macro-average, or the only language."""
        return MACRO if len(self.languages) > 1 else self.languages[0]

    def by_metric(self) -> Grid:
        """Method x metric, of the macro-average (the only language where there is one)."""
        present = {name for rows in self.rows.values() for name in rows.get(self.overall, {})}
        columns = {name: METRICS[name].column + arrow(name) for name in with_role("report") if name in present}
        cells = {
            label: {name: _cell(rows.get(self.overall, {}).get(name)) for name in columns}
            for label, rows in self.rows.items()
        }
        where = f"mean over {len(self.languages)} languages" if self.overall == MACRO else self.overall
        return self._marked(Grid(f"{self.about}; {where}", columns, cells, ""), dict.fromkeys(columns, self.overall))

    def by_language(self, metric: str) -> Grid:
        """Method x language, of one metric."""
        scopes = [*self.languages, *([MACRO] if self.overall == MACRO else [])]
        cells = {
            label: {scope: _cell(rows.get(scope, {}).get(metric)) for scope in scopes}
            for label, rows in self.rows.items()
        }
        title = f"{METRICS[metric].display_name}{arrow(metric)} by language; {self.about}"
        return self._marked(Grid(title, {scope: scope for scope in scopes}, cells, ""), {}, metric)

    def _marked(self, grid: Grid, scopes: Mapping[str, str], metric: str = "") -> Grid:
        """The grid with the best cells marked: columns are metrics in ``scopes``, or languages of ``metric``."""
        notes = set()
        for column in grid.columns:
            name, scope = (metric, column) if metric else (column, scopes[column])
            better = METRICS[name].higher_is_better
            have = {label: row[column] for label, row in grid.rows.items() if row[column] is not None}
            if better is None or len(have) < 2:
                continue
            best = (max if better else min)(have, key=lambda label: have[label].interval.value)
            ties, note = self._ties(best, have, name, scope)
            notes.add(note)
            for label in (best, *ties):
                grid.rows[label][column] = Cell(have[label].interval, best=True)
        grid.note = "; ".join(sorted(notes))
        return grid

    def _ties(self, best: str, have: Mapping[str, Cell], metric: str, scope: str) -> tuple[list[str], str]:
        others = [label for label in have if label != best]
        p = [self._p(best, label, metric, scope) for label in others]
        if None in p:
            low, high = have[best].interval.low, have[best].interval.high
            value = have[best].interval.value
            return [
                label
                for label in others
                if low <= have[label].interval.value <= high or have[label].interval.value == value
            ], OVERLAP
        adjusted, _ = benjamini_hochberg([math.nan if one is None else one for one in p], 1 - CONFIDENCE)
        return [label for label, q in zip(others, adjusted, strict=True) if not q <= 1 - CONFIDENCE], PAIRED

    def _p(self, a: str, b: str, metric: str, scope: str) -> float | None:
        """Of no difference; None where the two cannot be paired."""
        section = self._section(a, b)
        if section is None or metric not in section.metrics:
            return None
        at = section.metrics.index(metric)
        places = [place for place, lang in enumerate(section.languages) if scope in (MACRO, lang)]
        groups = [
            (*(side[place][part, [at]] for side in (section.a, section.b) for part in (0, 1)),) for place in places
        ]
        return paired_macro_differences(groups)[0].p_value if groups else None

    def _section(self, a: str, b: str) -> Section | None:
        key = (a, b) if a < b else (b, a)
        if key not in self._sections:
            try:
                found = sections(self.runs[key[0]], self.runs[key[1]])
            except DetoxbenchError:
                found = []  # no samples, or no prompt in common
            wanted = {self.languages[0]} | set(self.languages)
            self._sections[key] = next((one for one in found if set(one.languages) & wanted), None)
        return self._sections[key]


def arrow(metric: str) -> str:
    """Which way is better."""
    better = METRICS[metric].higher_is_better
    return "" if better is None else " ↑" if better else " ↓"


def boards(runs: Sequence[Run]) -> list[Board]:
    """The runs' tasks by what they may be compared in."""
    found: dict[object, list[tuple[Run, list[TaskResult]]]] = {}
    for run in runs:
        tasks: dict[object, list[TaskResult]] = {}
        for task in run.tasks.values():
            tasks.setdefault(table_of(task.record), []).append(task)
        for key, own in tasks.items():
            found.setdefault(key, []).append((run, own))
    return [_board(entries) for entries in found.values()]


def _board(entries: Sequence[tuple[Run, list[TaskResult]]]) -> Board:
    first = entries[0][1][0].record
    labels = _labels([run for run, _ in entries])
    languages = list(dict.fromkeys(task.record.lang or task.name for _, tasks in entries for task in tasks))
    rows: dict[str, dict[str, Row]] = {}
    for label, (_, tasks) in zip(labels, entries, strict=True):
        rows[label] = {task.record.lang or task.name: task_row(task) for task in tasks}
        if len(languages) > 1 and len(rows[label]) == len(languages):
            rows[label][MACRO] = macro_row(tasks) or _plain_mean(list(rows[label].values()))
    about = f"prompts {prompts_name(first)}, K={first.samples}, scorer {first.scorer}"
    return Board(about, dict(zip(labels, (run for run, _ in entries), strict=True)), rows, languages)


def _labels(runs: Sequence[Run]) -> list[str]:
    """What each row is called: labels, with the date where two are the same."""
    names = [run.label for run in runs]
    dated = [name if names.count(name) == 1 else f"{name} [{run.date}]" for name, run in zip(names, runs, strict=True)]
    return [name if dated.count(name) == 1 else f"{name} ({place})" for place, name in enumerate(dated, 1)]


def _plain_mean(rows: Sequence[Row]) -> Row:
    """The macro-average without its interval, for runs without samples."""
    shared = [name for name in rows[0] if all(row.get(name) is not None for row in rows) and not on_subset(name)]
    nan = math.nan
    return {
        name: Interval(float(np.mean([row[name].value for row in rows])), nan, nan, "undefined", 0, 0, CONFIDENCE)
        for name in shared
    }


def _cell(interval: Interval | None) -> Cell | None:
    return None if interval is None or math.isnan(interval.value) else Cell(interval)
