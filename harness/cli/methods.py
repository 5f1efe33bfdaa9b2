"""``detoxbench methods``: the registered methods, or one's card; all from their declarations."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...core.registry import METHODS
from ...methods import card as cards
from .output import echo_json

WIDTH = 200


def methods(
    name: Annotated[str | None, typer.Argument(help="a registered method; without one, all are listed")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """The registered methods, those of other packages among them."""
    found = [cards.card(one) for one in METHODS] if name is None else [cards.card(METHODS.check(name))]
    if as_json:
        content = [one.as_json() for one in found]
        echo_json(content if name is None else content[0])
    elif name is None:
        _table(found)
    else:
        typer.echo(found[0].markdown())


def _table(found: list[cards.Card]) -> None:
    table = Table("method", "kind", "paper", "artifacts", "")
    for one in found:
        made = ", ".join(artifact["name"] for artifact in one.artifacts)
        table.add_row(one.name, one.kind, escape(one.paper), made, escape(one.summary))
    console = Console()
    Console(width=None if console.is_terminal else WIDTH).print(table)
