"""What the site shows of methods and scorers beside their numbers: their declarations, as plain data."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from ...core.errors import DetoxbenchError
from ...core.registry import METHODS, SCORERS
from ...methods import card as method_cards


def methods() -> list[dict[str, Any]]:
    """A card for each registered method that can be loaded; see ``leaderboard.site.cards.Card``."""
    found = []
    for name in METHODS:
        try:
            card = method_cards.card(name)
        except DetoxbenchError:
            continue  # of a package whose own dependencies are not there: its numbers are shown without a card
        found.append({
            "name": card.name,
            "kind": card.kind,
            "summary": card.summary,
            "card": card.text + _artifacts(card),
            "arguments": [_argument(argument) for argument in card.arguments],
            "citation": card.bibtex,
            "paper": card.paper,
            "licence": card.licence,
            "links": {"Read it": card.url} if card.url else {},
        })  # fmt: skip
    return found


def _artifacts(card: method_cards.Card) -> str:
    lines = []
    if card.artifacts:
        lines += ["", "", "## Artifacts", ""]
        lines += [f"- `{one['name']}`: {one['description']}, from {one['side']} text" for one in card.artifacts]
    commands = [command for command in (card.fit, card.imports) if command]
    if commands:
        lines += ["", "```", *commands, "```"]
    return "\n".join(lines)


def _argument(argument: Mapping[str, Any]) -> dict[str, str]:
    bounds = argument["bounds"]
    default = "required" if argument["required"] else "none" if argument["default"] is None else argument["default"]
    return {
        "name": argument["name"],
        "type": bounds if isinstance(bounds, str) else _text(bounds),
        "default": str(default),
        "description": argument["description"],
    }


def _text(bounds: Any) -> str:
    return ", ".join(map(str, bounds)) if isinstance(bounds, Sequence) else str(bounds or "")


def scorers() -> list[dict[str, Any]]:
    """A card for each registered kind of scorer that can be loaded: what its class says of itself."""
    found = []
    for name in SCORERS:
        try:
            text = inspect.getdoc(SCORERS[name]) or ""
        except DetoxbenchError:
            continue
        first, _, rest = text.partition("\n")
        told = rest.partition("\nArgs:")[0].partition("\nRaises:")[0].partition("\nAttributes:")[0]
        found.append({"name": name, "kind": "scorer", "summary": first.replace("``", "`"), "card": told.strip()})
    return found
