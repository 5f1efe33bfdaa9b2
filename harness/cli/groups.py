"""``detoxbench groups``: results per value of a grouping (an axis, a harm category, a column of your file)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...core import results
from ...core.errors import DetoxbenchError
from ...core.metrics import METRICS, with_role
from ...core.parsing import parse_json
from ...core.validation import believed
from .output import echo_json

KEY = "detoxbench_groups"
WIDTH = 180


def groups(
    paths: Annotated[list[Path], typer.Argument(help="folders or files that lm_eval --output_path wrote")],
    by: Annotated[str | None, typer.Option(help="one grouping, such as axis, harm or your column")] = None,
    top: Annotated[int, typer.Option(help="values shown of a grouping, the most frequent ones first")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, with every metric and value")] = False,
) -> None:
    """Metrics per value of each grouping as ``value [low, high]``, with the number of prompts."""
    found = [entry for folder in paths for path in results.find(folder) for entry in _read(path)]
    names = sorted({grouping for entry in found for grouping in entry["groups"]})
    if not names:
        raise DetoxbenchError("these results have no groupings; prompts_file has them with --metadata '{\"group\": …}'")
    if by is not None and by not in names:
        raise DetoxbenchError(f"--by '{by}': these results are grouped by {', '.join(names)}")
    for entry in found:
        entry["groups"] = {name: values for name, values in entry["groups"].items() if by in (None, name)}
    if as_json:
        echo_json(found)
        return
    console = Console()
    for entry in found:
        for grouping, values in entry["groups"].items():
            _print(Console(width=None if console.is_terminal else WIDTH), entry, grouping, values, top)


def _read(path: Path) -> list[dict[str, Any]]:
    run = results.read(path)
    believed(run)
    configs = parse_json(path.read_text(encoding="utf-8"))["configs"]
    return [
        {"file": path.name, "label": run.label, "task": task, "groups": dict(configs[task].get(KEY, {}))}
        for task in run.tasks
    ]


def _text(interval: Sequence[float | None] | None) -> str:
    if interval is None or interval[0] is None:
        return "–"
    value, low, high = interval
    digits = 1 if abs(value) >= 10 else 3
    if low is None or high is None:
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _print(
    console: Console, entry: Mapping[str, Any], grouping: str, values: Mapping[str, Mapping[str, Any]], top: int
) -> None:
    title = f"{entry['label']} · {entry['task']} · by {grouping}"
    names = [name for name in with_role("main") if any(name in row for row in values.values())]
    columns = (METRICS[name].display_name for name in names)
    table = Table(grouping, "prompts", *columns, title=title, title_justify="left")
    for value, row in list(values.items())[:top]:
        # A value is the user's text, not rich's markup, and stays on its line.
        shown = "".join(mark if mark.isprintable() else "\N{REPLACEMENT CHARACTER}" for mark in value)
        table.add_row(escape(shown), str(row["prompts"]), *(_text(row.get(name)) for name in names))
    console.print(table)
    if len(values) > top:
        console.print(f"{len(values) - top} more values of {grouping}: --top {len(values)}, or --json.")
