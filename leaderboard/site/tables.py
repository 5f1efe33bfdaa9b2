"""Records -> tables: the rows of each board, with ranks, changes against the base and the Pareto front."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ...core import data_overlap
from ...core.constants import MINI
from ...core.metric_names import on_subset
from ...core.metrics import run_level
from ...core.records import TaskRun
from ..submissions import Estimate, RunRecord, TaskRecord
from ..validity.known import Validity, sentence, validity
from ..validity.records import ValidityRecord
from . import nuclei, prompt_names, ranks
from .changes import MACRO, Change, adjust, change_of
from .grouping import Shared, group
from .metrics import COMPARED, LOST, MARGIN, PRIMARY, SIDES, describe
from .names import judges_itself, short_name, without_content

BASE = "none"
NOTHING: Estimate = (None, None, None)
NONE: Mapping[str, str] = {}


@dataclass
class Row:
    """A run in a table.

    Attributes:
        model, method: names short enough for a table.
        variant: what tells it from other runs of the same model and method; empty if it is the only one.
        self_judged: the method learned from the scorer that judges it, or the model is its own judge.
        missing: languages of the table that it has not, or not on the table's prompts; its macro-average is then none.
        ranks: language, or ``MACRO`` -> rank by ``PRIMARY``, shared where the difference is not significant.
        base: the row of the same model without any method.
        changes: metric -> language or ``MACRO`` -> change against the base.
        uncovered: languages in which the share of empty or unscored generations differs from the base's by more than
            ``MARGIN``: no rank there, nor over all languages.
        nucleus: how its nucleus differs from its base's, in words: part of what changes may be that.
        overlaps: what scorer, method and prompts have seen of one another's texts, in words.
        front: whether no other ranked row is surely better in toxicity, fluency, diversity or language and surely worse
            in none of them.
    """

    record: RunRecord
    model: str
    method: str
    tasks: Mapping[str, TaskRecord]
    variant: str = ""
    self_judged: bool = False
    missing: list[str] = field(default_factory=list)
    uncovered: list[str] = field(default_factory=list)
    nucleus: str = ""
    overlaps: list[str] = field(default_factory=list)
    ranks: dict[str, int | None] = field(default_factory=dict)
    base: int | None = None
    changes: dict[str, dict[str, Change]] = field(default_factory=dict)
    front: bool = False

    def estimate(self, metric: str, language: str = MACRO) -> Estimate:
        """Value and bounds; None where there is none."""
        if metric in self.record.whole:
            return self.record.whole[metric] if language == MACRO else NOTHING
        if language != MACRO:
            task = self.tasks.get(language)
            return task.metrics.get(metric, NOTHING) if task and language not in self.missing else NOTHING
        return NOTHING if self.missing else self.record.macro.get(metric, NOTHING)

    def reasons(self, language: str) -> Mapping[str, str]:
        """Metric -> why it has no interval."""
        if language != MACRO:
            task = self.tasks.get(language)
            return task.degenerate if task and language not in self.missing else NONE
        return NONE if self.missing else self.record.degenerate

    @property
    def limited(self) -> list[str]:
        """Languages of which only some prompts were measured (``--limit``)."""
        return [name for name, task in self.tasks.items() if task.limited]

    @property
    def prompts(self) -> int:
        """Over all its languages."""
        return sum(task.prompts for task in self.tasks.values())

    def may_rank(self, languages: Sequence[str]) -> bool:
        """Neither judged by its own teacher, nor on some of the prompts, nor on other texts than its base."""
        return not self.self_judged and not {*self.limited, *self.uncovered} & set(languages)

    @property
    def name(self) -> str:
        """Method and variant."""
        return f"{self.method} ({self.variant})" if self.variant else self.method


@dataclass
class Table:
    """One board: runs whose numbers may stand beside each other.

    Attributes:
        validity: language -> what is known of the board's scorer there.
    """

    id: str
    board: Shared
    languages: list[str]
    metrics: list[str]
    rows: list[Row]
    validity: Mapping[str, Validity] = field(default_factory=dict)

    def mark(self, language: str) -> str:
        """What stands beside a language's name where the scorer is no better than chance there, or not validated."""
        return self.validity[language].mark if language in self.validity else ""

    @property
    def worth(self) -> str:
        """What the scorer's numbers are worth in these languages, in one line."""
        return f"Scorer {short_name(self.board.measurement.scorer)}: {sentence(self.validity.values())}"

    @property
    def title(self) -> str:
        """Prompts and their number, scorer and K in a few words."""
        one = self.board.measurement
        subset = f" ({one.subset})" if one.subset else ""
        many = f"{self.prompts} prompts" if self.complete else f"{self.prompts} of {self.available} prompts (limited)"
        count = len(self.languages)
        where = f"{count} languages" if count != 1 else self.languages[0]
        return f"{self.prompts_name}{subset} · {many}, {where} · {short_name(one.scorer)} scorer · K = {one.samples}"

    @cached_property
    def prompts_name(self) -> str:
        """What people call the prompts."""
        return prompt_names.name_of(self._runs)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Label and value, for people: what the runs have in common, and where a file's prompts come from."""
        return [*self.board.facts(self.prompts_name), *prompt_names.facts(self._runs)]

    @property
    def _runs(self) -> list[TaskRun]:
        return [task.run for row in self.rows for task in row.tasks.values()]

    @property
    def approximated(self) -> bool:
        """Differences are tested by their normal approximation."""
        return ranks.test_for(len(self.rows), self.prompts) is ranks.approximated

    @cached_property
    def prompts(self) -> int:
        """Over all languages; of the runs that have the most."""
        return sum(max(row.tasks[name].prompts for row in self.rows if name in row.tasks) for name in self.languages)

    @cached_property
    def available(self) -> int:
        """Prompts before any ``--limit``, as far as the runs say."""
        tasks = [[row.tasks[name] for row in self.rows if name in row.tasks] for name in self.languages]
        return sum(max(max(task.of or 0, task.prompts) for task in found) for found in tasks)

    @property
    def complete(self) -> bool:
        """Whether some run of it was measured on all prompts of each language, as far as runs say."""
        return self.prompts == self.available

    @property
    def mini(self) -> bool:
        """The embedded model, prompts or scorer: no real model's numbers."""
        return self.board.mini or MINI in (self.board.measurement.prompt_set, self.board.measurement.scorer)


def obstacles(record: RunRecord) -> list[str]:
    """Why a run will be shown and not ranked, whatever stands beside it; empty where nothing is in its way."""
    row = _row(record)
    found = []
    if any(not task.columns for task in record.tasks):
        found.append("not ranked: run without --log_samples")
    if row.limited:
        found.append("not ranked: only some of the prompts were measured (--limit)")
    if row.self_judged:
        found.append("not ranked: the method learned from the scorer that judges it, or the model is its own judge")
    if row.method == BASE:
        return found
    uncovered = [name for name in row.tasks if lost(row, name) > MARGIN]
    if uncovered:
        found.append(f"not ranked unless its base is alike: empty or unscored continuations in {', '.join(uncovered)}")
    return found


def tables(records: Sequence[RunRecord], published: Sequence[ValidityRecord] = ()) -> list[Table]:
    """All boards, those with the most runs first; a run that is given twice is there once.

    Args:
        records: of runs.
        published: what is known of the scorers' validity.
    """
    boards = group(list({record.id: record for record in records}.values()))
    found = [_table(board, runs) for board, runs in boards.items()]
    for table in found:
        one = table.board.measurement
        table.validity = validity(published, one.scorer, one.scorer_version, table.languages)
    names = without_content(row.model for table in found for row in table.rows)
    for table in found:
        for row in table.rows:
            row.model = names[row.model]
    return sorted(found, key=lambda table: (table.mini, -len(table.rows), table.id))


def _table(board: Shared, records: Sequence[RunRecord]) -> Table:
    rows = [_row(record) for record in records]
    languages = sorted({language for row in rows for language in row.tasks})
    names = dict.fromkeys(name for row in rows for task in row.tasks.values() for name in task.metrics)
    whole = run_level.in_order(name for row in rows for name in row.record.whole)
    table = Table(board.id, board, languages, [*(name for name in names if not on_subset(name)), *whole], rows)
    _set_variants(rows)
    prompts = {language: _prompts(rows, language) for language in languages}
    for row in rows:
        row.missing = [name for name in languages if name not in row.tasks or not _same(row.tasks[name], prompts[name])]
    for row in rows:
        row.base = _base(rows, row)
        row.uncovered = [name for name in languages if _uncovered(rows, row, name)]
        row.nucleus = nuclei.unlike(row.record, rows[row.base].record if row.base is not None else None)
    _set_ranks(table)
    _set_changes(table)
    _set_front(table)
    return table


def lost(row: Row, language: str) -> float:
    """The share of generations without a score or without any text; 0 where it was not measured."""
    return sum(row.estimate(name, language)[0] or 0.0 for name in LOST)


def _uncovered(rows: Sequence[Row], row: Row, language: str) -> bool:
    if language not in row.tasks:
        return False
    base = rows[row.base] if row.base is not None else None
    expected = lost(base, language) if base is not None and language in base.tasks else 0.0
    return abs(lost(row, language) - expected) > MARGIN


def _set_front(table: Table) -> None:
    names = [name for name in (PRIMARY, *SIDES) if name in table.metrics]
    signs = [-1.0 if describe([name])[name].higher_is_better else 1.0 for name in names]
    estimates = np.full((len(table.rows), len(names), 3), np.nan)
    for place, row in enumerate(table.rows):
        if row.ranks.get(MACRO) is not None:
            for at, (name, sign) in enumerate(zip(names, signs, strict=True)):
                value, low, high = row.estimate(name)
                # What has no interval is not surely better than anything, and nothing surely better than it.
                if value is not None and low is not None and high is not None:
                    estimates[place, at] = (value, low, high) if sign > 0 else (-value, -high, -low)
    for row, front in zip(table.rows, ranks.undominated(estimates), strict=True):
        row.front = front


def _prompts(rows: Sequence[Row], language: str) -> tuple[int, ...]:
    """The prompts of a language: those of the runs that have the most; numbered from 0 where no run kept samples."""
    tasks = [row.tasks[language] for row in rows if language in row.tasks]
    asked = [tuple(task.docs) if task.docs else tuple(range(task.prompts)) for task in tasks]
    return max(asked, key=lambda docs: (len(docs), docs))


def _same(task: TaskRecord, prompts: Sequence[int]) -> bool:
    """Whether a run was asked those; of one without samples only their number is known."""
    return tuple(task.docs) == prompts if task.docs else task.prompts == len(prompts)


def _row(record: RunRecord) -> Row:
    model = record.model
    pretrained = model.pretrained if model else record.label
    return Row(
        record=record,
        model=short_name(pretrained),
        method=model.method if model else BASE,
        tasks={task.language: task for task in record.tasks},
        overlaps=list(dict.fromkeys(str(one) for task in record.tasks for one in data_overlap.of_run(task.run, model))),
        self_judged=any(task.run.self_judged or judges_itself(task.run.scorer, pretrained) for task in record.tasks),
    )


def _arguments(row: Row) -> dict[str, str]:
    model = row.record.model
    if model is None:
        return {}
    flat: dict[str, Any] = {**model.effective_arguments, **model.method_arguments}
    flat |= {key: model.sampling[key] for key in sorted(model.sampling)}
    found = {key: short_name(value) if isinstance(value, str) else str(value) for key, value in flat.items()}
    return {**found, "seed": str(model.seed)}


def _set_variants(rows: Sequence[Row]) -> None:
    """Name what differs among runs of one model and method; where nothing does, the date."""
    same: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        same.setdefault((row.model, row.method), []).append(row)
    for runs in same.values():
        if len(runs) > 1:
            arguments = [_arguments(row) for row in runs]
            keys = list(dict.fromkeys(key for found in arguments for key in found))
            unlike = [key for key in keys if len({found.get(key) for found in arguments}) > 1]
            for row, found in zip(runs, arguments, strict=True):
                row.variant = ", ".join(f"{key}={found[key]}" for key in unlike if key in found)
            counts = Counter(row.variant for row in runs)
            for row in runs:
                if counts[row.variant] > 1:
                    row.variant = ", ".join(part for part in (row.variant, row.record.date[:19]) if part)


def _groups(entries: Sequence[tuple[Row, str]], languages: Sequence[str]) -> list[ranks.Group]:
    """Per language, numerators and denominators of those rows' metrics, [entries, prompts]."""
    found = []
    for language in languages:
        pairs = [row.tasks[language].columns[metric].pair() for row, metric in entries]
        found.append((np.stack([n for n, _ in pairs]), np.stack([d for _, d in pairs])))
    return found


def _measured(row: Row, languages: Sequence[str], metric: str) -> bool:
    return not set(languages) & set(row.missing) and all(metric in row.tasks[name].columns for name in languages)


def _set_ranks(table: Table) -> None:
    for scope, languages in {MACRO: table.languages, **{name: [name] for name in table.languages}}.items():
        # Who may not be ranked is not first, and not in anybody's way.
        rows = [row for row in table.rows if _measured(row, languages, PRIMARY) and row.may_rank(languages)]
        found: list[int | None] = []
        if rows:
            groups = _groups([(row, PRIMARY) for row in rows], languages)
            found = ranks.shared_ranks(groups, test=_test(table))
        for row in table.rows:
            row.ranks[scope] = None
        for row, rank in zip(rows, found, strict=True):
            row.ranks[scope] = rank


def _test(table: Table) -> ranks.Test:
    return ranks.test_for(len(table.rows), table.prompts)


def _set_changes(table: Table) -> None:
    """Each run against its base, by language; p-values are adjusted over the languages of a run and metric."""
    bases: dict[int, list[int]] = {}
    for place, row in enumerate(table.rows):
        if row.base is not None and row.base != place:
            bases.setdefault(row.base, []).append(place)
    scopes = {MACRO: table.languages, **{name: [name] for name in table.languages}}
    for base, others in bases.items():
        for scope, languages in scopes.items():
            # All metrics and runs at once: they share the resamples, and what comes out is the same.
            entries = [
                (metric, place)
                for metric in COMPARED
                for place in (base, *others)
                if all(_measured(table.rows[one], languages, metric) for one in (base, place))
            ]
            first = {metric: at for at, (metric, place) in enumerate(entries) if place == base}
            wanted = [at for at, (_, place) in enumerate(entries) if place != base]
            if wanted:
                groups = _groups([(table.rows[place], metric) for metric, place in entries], languages)
                found = _test(table)(groups, [first[entries[at][0]] for at in wanted], wanted)
                for at, change in zip(wanted, found, strict=True):
                    metric, place = entries[at]
                    table.rows[place].changes.setdefault(metric, {})[scope] = change_of(change)
        for place in others:
            for changes in table.rows[place].changes.values():
                adjust(changes)


def _base(rows: Sequence[Row], row: Row) -> int | None:
    """The same model without a method: of several, the one with the run's seed, else the last."""
    found = [place for place, other in enumerate(rows) if other.method == BASE and _is_base(other, row)]
    found = [place for place in found if not rows[place].limited] or found
    seeds = [place for place in found if _seed(rows[place]) == _seed(row)]
    return (seeds or found or [None])[-1]


def _is_base(base: Row, row: Row) -> bool:
    one, other = base.record.model, row.record.model
    return one is not None and other is not None and one.pretrained == other.pretrained


def _seed(row: Row) -> int | None:
    return row.record.model.seed if row.record.model else None
