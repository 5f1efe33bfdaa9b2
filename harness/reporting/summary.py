"""The end of a run: what came out, what to doubt, where it lies and what to do next, on one screen.

lm-eval prints a table of every metric of every task. In its place comes language x main metrics; ``--full-table``
asks for all of it, and tasks of others keep lm-eval's own.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from ...core import utility
from ...core.comparability import table_of
from ...core.constants import FAILED_SHARE_WARNING, MINI
from ...core.metric_names import HIGH, LOW
from ...core.metrics import METRICS, with_role
from ...core.records import TaskRun
from .run_level import line

SUFFIX = ",none"
COLUMNS = 4
"""Of the metrics with the role ``main``, in the order of tables."""
BLOCK = "detoxbench"
REFUSALS = 0.02
"""Share of refusals from which the end of a run speaks of them."""
LONGEST = 100
"""Characters of a title's part that comes from the run."""


@dataclass(frozen=True)
class Invocation:
    """What of the command line the end of a run needs.

    Args:
        full_table: lm-eval's own table is wanted.
        output: ``--output_path``; None where results are kept nowhere.
        samples: ``--log_samples``.
    """

    full_table: bool = False
    output: str | None = None
    samples: bool = False


INVOCATION: ContextVar[Invocation | None] = ContextVar("INVOCATION", default=None)
"""Of the command that runs; None where lm-eval is used as a library, which prints no summary."""


def ours(results: Mapping[str, Any]) -> dict[str, TaskRun]:
    """Name -> record of the tasks of ours in lm-eval's results."""
    return {name: TaskRun(**config[BLOCK]) for name, config in results.get("configs", {}).items() if config.get(BLOCK)}


def others(results: Mapping[str, Any]) -> dict[str, Any]:
    """lm-eval's results without our tasks, and without groups that hold nothing else."""
    mine = set(ours(results))
    groups = {
        name
        for name, members in results.get("group_subtasks", {}).items()
        if members and all(member in mine for member in members)
    }
    kept = dict(results)
    for column in ("results", "groups"):
        if column in kept:
            kept[column] = {name: row for name, row in kept[column].items() if name not in mine | groups}
    return kept


def summary(results: Mapping[str, Any], invocation: Invocation) -> str:
    """Language x main metrics with intervals, macro-average, warnings, files and the next command."""
    records = ours(results)
    lines: list[str] = []
    for title, names in _boards(results, records).items():
        lines += ["", *_table(title, names, results, records)]
    lines += ["", *whole(results), *_warnings(results, records), *_files(invocation)]
    return "\n".join(lines).strip("\n")


def whole(results: Mapping[str, Any]) -> list[str]:
    """What the method costs, and what the model can still do, a line each; none where a run measured neither."""
    cost = results.get("config", {}).get(BLOCK, {}).get("cost") or {}
    said = {"what it costs": cost, "what it can do": utility.read(results)}
    return [f"{title}: {line(found)}" for title, found in said.items() if found]


def _boards(results: Mapping[str, Any], records: Mapping[str, TaskRun]) -> dict[str, list[str]]:
    """Group, or the tasks of no group that share a table -> tasks."""
    found: dict[str, list[str]] = {}
    for group, members in results.get("group_subtasks", {}).items():
        if names := [name for name in members if name in records]:
            found[group] = names
    grouped = {name for names in found.values() for name in names}
    loose: dict[Any, list[str]] = {}
    for name, record in records.items():
        if name not in grouped:
            loose.setdefault(table_of(record), []).append(name)
    return found | {", ".join(names): names for names in loose.values()}


def _table(title: str, names: Sequence[str], results: Mapping[str, Any], records: Mapping[str, TaskRun]) -> list[str]:
    rows = [(records[name].lang or name, results["results"].get(name, {})) for name in names]
    if len(names) > 1 and title in results.get("groups", {}):
        rows.append(("macro", results["groups"][title]))
    first = records[names[0]]
    metrics = [name for name in with_role("main") if any(name + SUFFIX in row for _, row in rows)][:COLUMNS]
    head = ["", *(METRICS[name].column + _arrow(METRICS[name].higher_is_better) for name in metrics)]
    body = [[lang, *(_cell(row, name) for name in metrics)] for lang, row in rows]
    widths = [max(len(line[place]) for line in [head, *body]) for place in range(len(head))]
    shown = [_line(head, widths), "  ".join("─" * width for width in widths), *(_line(line, widths) for line in body)]
    if len(body) > 1 and body[-1][0] == "macro":
        shown.insert(-1, shown[1])
    return [f"{_short(title)}: K={first.samples}, scorer {_short(first.scorer)}{_label(results, first)}", *shown]


def _arrow(higher_is_better: bool | None) -> str:
    return "" if higher_is_better is None else " ↑" if higher_is_better else " ↓"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _cell(row: Mapping[str, Any], name: str) -> str:
    value, low, high = (_number(row.get(name + end + SUFFIX)) for end in ("", LOW, HIGH))
    if math.isnan(value):
        return "–"
    digits = 1 if abs(value) >= 10 else 3
    interval = "" if math.isnan(low) or math.isnan(high) else f" [{low:.{digits}f}, {high:.{digits}f}]"
    return f"{value:.{digits}f}{interval}"


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _short(text: str) -> str:
    shown = "".join(sign for sign in text if sign.isprintable())
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


def _label(results: Mapping[str, Any], record: TaskRun) -> str:
    model = results.get("config", {}).get(BLOCK, {}).get("pretrained")
    mini = MINI in (model, record.scorer)
    return " (self-judged)" * record.self_judged + f" ({MINI}: says nothing of real models)" * mini


def _warnings(results: Mapping[str, Any], records: Mapping[str, TaskRun]) -> list[str]:
    found = []
    failed = [
        f"{records[name].lang or name} {share:.1%}"
        for name in records
        if (share := _number(results["results"].get(name, {}).get("failed_fraction" + SUFFIX))) > FAILED_SHARE_WARNING
    ]
    if failed:
        found.append(f"generations that could not be scored, and are left out: {', '.join(failed)}")
    refused = [
        f"{records[name].lang or name} {share:.1%}"
        for name in records
        if (share := _number(results["results"].get(name, {}).get("refusal_rate" + SUFFIX))) > REFUSALS
    ]
    if refused:
        found.append(f"replies that are refusals, which score as harmless: {', '.join(refused)}")
    if any(record.self_judged for record in records.values()):
        found.append("self-judged: the method learned from this very scorer, so that its scores say little of toxicity")
    if skipped := sum(record.skipped_rows for record in records.values()):
        found.append(f"rows of the prompt sets that could not be read, and are left out: {skipped:,}")
    model = results.get("config", {}).get(BLOCK, {})
    if cut := model.get("cut_prompts"):
        found.append(f"prompts cut on the left, for the model has no room for them: {cut:,}")
    if cut := model.get("cut_while_thinking"):
        found.append(f"continuations that never ended their thoughts, and are empty: {cut:,}")
    main = with_role("main")[:COLUMNS]
    none = [
        records[name].lang or name
        for name in records
        if any(
            not math.isnan(_number(results["results"].get(name, {}).get(metric + SUFFIX)))
            and math.isnan(_number(results["results"].get(name, {}).get(metric + LOW + SUFFIX)))
            for metric in main
        )
    ]
    if none:
        found.append(f"no interval of some metrics, for want of prompts: {', '.join(none)}")
    return [f"warning: {line}" for line in found]


def _files(invocation: Invocation) -> list[str]:
    if invocation.output is None:
        return ["nothing was kept: run with --output_path results --log_samples to compare, plot and share it"]
    where = shlex.quote(invocation.output)
    kept = "results and samples" if invocation.samples else "results, without samples (--log_samples)"
    return [f"{kept}: {where}", f"next: detoxbench report {where}    (every metric; all of it here: --full-table)"]
