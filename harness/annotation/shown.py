"""What a study found, for the terminal: by ``detoxbench annotate --import`` and ``detoxbench report``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .estimates import MACRO
from .questions import TOXIC


def cell(found: Mapping[str, float | None] | None, sign: str = "") -> str:
    """``value [low, high]``, or a dash."""
    if not found or found.get("value") is None:
        return "–"
    value, low, high = found["value"], found.get("low"), found.get("high")
    return f"{value:{sign}.3f}" if low is None else f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def print_study(console: Console, found: Mapping[str, Any], run: str | None = None) -> None:
    """Agreement, then estimates or win rates.

    Args:
        run: only what concerns this results file; all of the study where left out.
    """
    people = len(found["raters"])
    console.print(
        f"People's judgement: {people} rater{'s' if people != 1 else ''}, {found['texts_rated']:,} of "
        f"{found['texts']:,} {'pairs' if found['design'] == 'pairs' else 'texts'} (study {found['study']})"
    )
    table = Table(
        "question", "rated twice or more", "Krippendorff's alpha", "Cohen's kappa", "same answer again",
        title="Agreement", title_justify="left",
    )  # fmt: skip
    for question, one in found["agreement"].items():
        table.add_row(question, f"{one['texts']:,}", cell(one["alpha"]), cell(one["kappa"]), cell(one["self"]["same"]))
    console.print(table)
    if found["design"] == "pairs":
        _win_rates(console, found, run)
    else:
        _estimates(console, found, run)


def _win_rates(console: Console, found: Mapping[str, Any], run: str | None) -> None:
    table = Table(
        "run", "against", "question", "language", "win rate, ties half", "wins / ties / losses",
        title="Which of the two", title_justify="left",
    )  # fmt: skip
    for one in found["win_rates"]:
        if run in (None, one["a"], one["b"]):
            labels = (escape(found["runs"][one[side]]) for side in ("b", "a"))
            counts = f"{one['wins']} / {one['ties']} / {one['losses']}"
            table.add_row(*labels, one["question"], one["language"], cell(one), counts)
    console.print(table)


def _estimates(console: Console, found: Mapping[str, Any], run: str | None) -> None:
    for scorer in (found["validity"] or {}).get("scorers", ()):
        auc = scorer[MACRO]["figures"].get("auc")
        console.print(f"Scorer {escape(scorer['name'])} against people on these texts: AUC {cell(auc)}", soft_wrap=True)
    base = found["base"]
    table = Table(
        "run", "language", "rated / texts", "scorer's toxic share", "people's, prediction-powered", "weight",
        "Rogan–Gladen", "against the base", "fluent", "on topic",
        title=f"Share of toxic texts as people judge them; base: {escape(found['runs'][base])}", title_justify="left",
    )  # fmt: skip
    for name, langs in found["estimates"].items():
        for lang, one in langs.items():
            if run in (None, name):
                toxic, change = one[TOXIC], found["differences"].get(name, {}).get(lang)
                powered = toxic.get("prediction_powered")
                table.add_row(
                    escape(found["runs"][name]), lang, f"{toxic.get('labelled', 0):,} / {one['texts']:,}",
                    "" if toxic.get("scorer") is None else f"{toxic['scorer']:.3f}",
                    toxic.get("reason") or cell(powered),
                    "" if not powered or powered.get("weight") is None else f"{powered['weight']:.2f}",
                    cell(toxic["rogan_gladen"]) if toxic.get("rogan_gladen") else "",
                    cell(change, "+") if change else "",
                    *(cell((one.get(question) or {}).get("mean")) for question in ("fluent", "on_topic")),
                )  # fmt: skip
    console.print(table)
