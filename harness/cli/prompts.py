"""``detoxbench prompts``: the prompt sets, what is known of each, and what is at hand of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ...core.constants import TOXIC
from ...core.errors import DetoxbenchError
from ...core.parsing import parse_json
from ...core.registry import PROMPTS
from .output import echo_json

WIDTH = 160


def prompts(
    name: Annotated[
        str | None, typer.Argument(help="a set, a task or a group; without one, all sets are listed")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="load the prompts: their number, sha256, languages")] = False,
    metadata: Annotated[str, typer.Option(help="as lm_eval's: JSON with path, subset, prompts, …")] = "{}",
) -> None:
    """The prompt sets with languages, sizes, licences and revisions; with a name, the set's card; with ``--verify``,
    what a run with these options would use."""
    options = _json(metadata)
    if verify:
        if name is None:
            raise DetoxbenchError(f"--verify needs the name of a set, a task or a group: {', '.join(PROMPTS)}")
        _verify(name, options, as_json)
    elif name is None:
        _list(as_json)
    else:
        _show(name, as_json)


def _json(text: str) -> Mapping[str, Any]:
    try:
        found = parse_json(text)
    except ValueError as error:
        raise DetoxbenchError(f"--metadata: not JSON: {error}") from None
    if not isinstance(found, dict):
        raise DetoxbenchError(f"--metadata: {text!r:.40} is not a JSON object")
    return found


def _catalog() -> Any:
    """The tasks, imported when they are needed: they bring lm-eval with them."""
    from ...tasks import catalog

    return catalog


def _describe(prompt_set: Any) -> dict[str, Any]:
    card = prompt_set.card
    return {
        "name": prompt_set.name,
        "tasks": list(prompt_set.tasks),
        "groups": list(prompt_set.groups),
        "protocol": prompt_set.protocol,
        "options": list(prompt_set.options),
        "card": card.model_dump() if card else None,
    }


def _list(as_json: bool) -> None:
    found = [_describe(prompt_set) for prompt_set in _catalog().sets().values()]
    if as_json:
        echo_json(found)
        return
    console = Console()
    table = Table("set", "lm-eval tasks", "languages", "size", "licence", "revision", show_lines=True)
    for entry in found:
        card = entry["card"] or {}
        languages = card.get("languages", ())
        shown = " ".join(languages) if len(languages) <= 20 else f"{len(languages)} locales"
        table.add_row(
            entry["name"],
            ", ".join([*entry["groups"], *(entry["tasks"] if len(entry["tasks"]) <= 4 else [_pattern(entry)])]),
            shown,
            card.get("size", ""),
            card.get("licence", "no card"),
            (card.get("revision") or "")[:12],
        )
    # A table is not squeezed to a pipe's 80 columns.
    Console(width=None if console.is_terminal else WIDTH).print(table)
    console.print("One set's card: detoxbench prompts NAME. What a run would use of it: --verify.")


def _pattern(entry: Mapping[str, Any]) -> str:
    return f"{entry['groups'][0]}_{{lang}}" if entry["groups"] else f"{len(entry['tasks'])} tasks"


def _show(name: str, as_json: bool) -> None:
    catalog = _catalog()
    task = catalog.canonical(name)
    owners = (entry.name for entry in catalog.sets().values() if task in (entry.name, *entry.tasks, *entry.groups))
    entry = _describe(PROMPTS[next(owners, name)])
    if as_json:
        echo_json(entry)
        return
    typer.echo(f"{entry['name']}: {', '.join([*entry['groups'], *entry['tasks']])}")
    typer.echo(f"protocol: {entry['protocol']}\noptions: {', '.join(entry['options'])}")
    for key, value in (entry["card"] or {}).items():
        if not value:
            continue
        if isinstance(value, Mapping):
            value = ", ".join(f"{part} {number}" for part, number in value.items())
        elif not isinstance(value, str):
            value = " ".join(value) if key == "languages" else "".join(f"\n  - {entry}" for entry in value)
        typer.echo(f"{key.replace('_', ' ')}: {value}")


def _verify(name: str, metadata: Mapping[str, Any], as_json: bool) -> None:
    catalog = _catalog()
    from ...tasks import prompts as prompt_sets
    from ...tasks.options import Options

    options_of = Options.from_metadata
    tasks = dict(PROMPTS[name].tasks) if name in PROMPTS else catalog.find([name])
    if not tasks:
        PROMPTS.check(name)
    rows = []
    for task, where in tasks.items():
        prompt_set = prompt_sets.get(where.prompt_set)
        options = options_of(metadata, prompt_set.protocol, prompt_set.samples)
        loaded = prompt_sets.load_set(where, options)
        scores = [prompt.toxicity for prompt in loaded.prompts]
        rows.append(
            {
                "task": task,
                "prompts": len(loaded.prompts),
                "languages": sorted({prompt.lang for prompt in loaded.prompts}),
                "subset": loaded.subset,
                "toxic": sum(score is not None and score >= TOXIC for score in scores),
                "unscored": sum(score is None for score in scores),
                "skipped_rows": loaded.skipped,
                "revision": loaded.revision,
                "sha256": prompt_sets.sha256(loaded.in_order),
            }
        )
    if as_json:
        echo_json(rows)
        return
    table = Table("task", "prompts", "toxic", "unscored", "skipped", "languages", "revision", "sha256")
    for row in rows:
        counts = (str(row[key]) for key in ("prompts", "toxic", "unscored", "skipped_rows"))
        table.add_row(
            row["task"], *counts, " ".join(row["languages"]), (row["revision"] or "local")[:12], row["sha256"]
        )
    console = Console()
    Console(width=None if console.is_terminal else 200).print(table)
