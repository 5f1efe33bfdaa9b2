"""``detoxbench scorers``: the scorers and presets, and what is known of each."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ...core.errors import DetoxbenchError, unknown
from ...core.registry import SCORERS
from ...core.scorers.presets import Preset, classifiers, guards, named
from ...core.validity import known
from .output import echo_json

WIDTH = 160
UNMEASURED = "unmeasured"
SEPARATORS = {"categories": ", ", "checked": "; ", "trained_on": ", "}
"""Between the entries of a list, where it is not a space."""


def scorers(
    name: Annotated[str | None, typer.Argument(help="a scorer or preset; without one, all are listed")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """The scorers, and the presets that name one exact model: languages, licence, what they judge, and their validity
    against people's labels where it was measured; with a name, all that is known of it."""
    found = {entry["name"]: entry for entry in [*registered(), *presets()]}
    if name is not None:
        if name not in found:
            raise unknown("scorer", name, found)
        if as_json:
            echo_json(found[name])
        else:
            _show(found[name])
    elif as_json:
        echo_json(list(found.values()))
    else:
        _list(list(found.values()))


def registered() -> list[dict[str, Any]]:
    """A line for each kind of scorer."""
    lines = []
    for name in SCORERS:
        try:
            kind = SCORERS[name]
        except DetoxbenchError:
            continue
        doc = (inspect.getdoc(kind) or "").strip().splitlines()
        languages, figures = getattr(kind, "languages", None), {}
        # The embedded ones need no argument, and know more of themselves.
        with contextlib.suppress(DetoxbenchError, TypeError):
            scorer = kind.from_spec("")
            languages, figures = scorer.languages, _figures(scorer)
        lines.append(
            {
                "name": name,
                "kind": "scorer",
                "description": doc[0].replace("``", "") if doc else "",
                "languages": sorted(languages) if isinstance(languages, frozenset) else None,
                "licence": None,
                "judges": [getattr(kind, "judges", "text")],
                "validity": figures,
            }
        )
    return lines


def presets() -> list[dict[str, Any]]:
    """A line for each preset's name."""
    lines = []
    for name, preset in classifiers().items():
        lines.append(_preset(name, preset, preset.model, preset.revision, preset.licence, ["text"]))
    for preset in guards().values():
        for name, variant in preset.variants.items():
            licence = variant.licence or preset.licence
            line = _preset(name, preset, variant.model, variant.revision, licence, list(preset.asks))
            lines.append({**line, "categories": list(preset.categories), "served_only": preset.served_only})
    return lines


def _preset(
    name: str, preset: Preset, model: str, revision: str | None, licence: str, judges: list[str]
) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "preset",
        "description": preset.description,
        "model": model,
        "revision": revision,
        "specification": named()[name],
        "languages": None if preset.languages is None else list(preset.languages),
        "licence": licence,
        "judges": judges,
        "verified": preset.verified,
        "checked": list(preset.checked),
        "source": preset.source,
        "trained_on": list(preset.data) or preset.trained_on,
        "validity": _figures(SimpleNamespace(name=name, validity=preset.figures)),
    }


def _figures(scorer: Any) -> dict[str, float]:
    """Language -> AUC against people's labels, where it was measured."""
    found = {lang: known(scorer, lang) for lang in getattr(scorer, "validity", {})}
    return {lang: one.auc for lang, one in found.items() if one is not None}


def _list(lines: list[dict[str, Any]]) -> None:
    console = Console()
    table = Table("scorer", "what it is", "languages", "licence", "judges", "AUC, people's labels")
    for line in lines:
        languages, figures = line["languages"], line["validity"]
        shown = "any" if languages is None else " ".join(languages)
        measured = UNMEASURED
        if figures:
            measured = f"{min(figures.values()):.2f} to {max(figures.values()):.2f} in {len(figures)}"
        table.add_row(
            line["name"], line["description"], shown, line["licence"] or "", " ".join(line["judges"]), measured
        )
    # A table is not squeezed to a pipe's 80 columns.
    Console(width=None if console.is_terminal else WIDTH).print(table)
    console.print("All that is known of one: detoxbench scorers NAME.")


def _show(line: Mapping[str, Any]) -> None:
    for key, value in line.items():
        if key == "validity" and not value:
            value = UNMEASURED
        if value in (None, [], {}):
            continue
        if isinstance(value, Mapping):
            value = ", ".join(f"{lang} {figure:.2f}" for lang, figure in value.items())
        elif not isinstance(value, str):
            value = SEPARATORS.get(key, " ").join(value)
        typer.echo(f"{key.replace('_', ' ')}: {value}")
