"""What a report says of its scorer: marks and footnotes, shared data, and shares of toxic texts corrected for its
errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...core import data_overlap
from ...core.data_overlap import Overlap
from ...core.results import Run, TaskResult
from ...leaderboard import corrected
from ...leaderboard.submissions import Corrected
from ...leaderboard.validity import known
from ...leaderboard.validity.known import Validity
from ...leaderboard.validity.records import ValidityRecord

TITLE = "Share of toxic texts as people would judge it, corrected for the scorer's errors"


def of_tasks(tasks: Sequence[TaskResult], published: Sequence[ValidityRecord]) -> dict[str, Validity]:
    """Language -> what is known of the task's scorer there."""
    found: dict[str, Validity] = {}
    for task in tasks:
        lang, record = task.record.lang or task.name, task.record
        found |= known.validity(published, record.scorer, record.scorer_version, [lang])
    return found


def as_json(found: Validity) -> dict[str, Any]:
    """State and figures; None where nobody has measured them."""
    one = found.known
    auc = None if one is None else {"value": one.auc, "low": one.low, "high": one.high}
    return {
        "state": found.state,
        "auc": auc,
        "labels": one.labels if one else None,
        "texts": one.texts if one else None,
    }


def shared(tasks: Sequence[TaskResult], run: Run) -> list[Overlap]:
    """What prompts, scorer and method have seen of one another's texts."""
    return list(dict.fromkeys(one for task in tasks for one in data_overlap.of_run(task.record, run.model)))


def print_notes(console: Console, scorer: str, judged: Mapping[str, Validity], overlaps: Sequence[str]) -> None:
    """What the scorer's numbers are worth, what the marks mean, and what is shared."""
    line = f"Scorer {scorer}: {known.sentence(judged.values())}."
    console.print(escape(line), highlight=False, soft_wrap=True)
    states = {one.state for one in judged.values()}
    for state, words in known.FOOTNOTES.items():
        if state in states:
            console.print(f"{known.MARKS[state]} {words}.", highlight=False, soft_wrap=True)
    for words in overlaps:
        console.print(escape(f"Shared data: {words}; a number on familiar texts is too good."), soft_wrap=True)


def print_corrected(
    console: Console, run: Run, tasks: Sequence[TaskResult], published: Sequence[ValidityRecord]
) -> None:
    """The corrected shares of a table's tasks, where there are labels for them."""
    found = corrected.shares(run, published, [task.name for task in tasks])
    if found:
        _table(console, TITLE, "share", found, "")


def print_differences(console: Console, found: Mapping[str, Corrected]) -> None:
    """B - A of the corrected shares, where there are labels for both."""
    if found:
        _table(console, f"{TITLE}: B - A", "difference", found, "+")


def _table(console: Console, title: str, what: str, found: Mapping[str, Corrected], sign: str) -> None:
    console.print(title, highlight=False, soft_wrap=True)
    table = Table("", f"{what} [95%]", "labelled texts", "labels")
    for lang, one in found.items():
        table.add_row(escape(lang), _cell(one, sign), f"{one.labelled:,}", escape(one.labels))
    console.print(table)
    for line in corrected.notes([found]):
        console.print(escape(f"{line[:1].upper()}{line[1:]}."), highlight=False, soft_wrap=True)


def _cell(one: Corrected, sign: str) -> str:
    if one.low is None or one.high is None:
        return f"{one.value:{sign}.3f}"
    return escape(f"{one.value:{sign}.3f} [{one.low:{sign}.3f}, {one.high:{sign}.3f}]")
