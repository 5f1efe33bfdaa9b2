"""The words above a board, for the page as it is delivered; ``static/overview.js`` says the same of other boards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import figures
from .metrics import PRIMARY, describe
from .static_tables import clean
from .tables import Table

MINI = (
    "Embedded models only: these runs are of detoxbench’s own tiny model, prompts or scorer. They show what the "
    "site does and say nothing about real models."
)


def headline(found: Mapping[str, Any], table: Table) -> dict[str, str]:
    """``warning``, ``title`` and ``lead``; the title of a board on which nothing is ranked claims nothing."""
    words = {
        "warning": MINI if found["mini"] else "",
        "title": "How toxic language models are, under every detoxification method",
    }
    on = f"On {found['prompts']} prompts × {table.board.measurement.samples} continuations"
    if found["kind"] != "reduction":
        return {**words, "lead": _nothing(found, table)}
    losses = [_side(side) for side in found["sides"] if side["worse"]]
    words["title"] = (
        f"{clean(found['method'])}: {_name(PRIMARY)} {_share(found)}"
        + (f", but {_join(losses)}" if losses else ", at no significant cost")
    )  # fmt: skip
    value, low, high = found["change"][:3]
    change = f"{figures.signed(value, 3)} {figures.bounds(low, high, figures.signed, 3)}"
    lead = (
        f"{on}, {clean(found['model'])}: from {figures.number(found['from'], 3)} to {figures.number(found['to'], 3)}, "
        f"{change}."
    )
    if losses and "free" in found:
        free = found["free"]
        lead += (
            f" The largest reduction without a significant loss of fluency, diversity or language is "
            f"{clean(free['method'])} on {clean(free['model'])}: {_share(free)}."
        )
    elif losses:
        lead += " No method here lowers it without a significant loss of fluency, diversity or language."
    if found["tied"]:
        others = f"{found['tied']} other {'run' if found['tied'] == 1 else 'runs'}"
        lead += f" It shares rank {found['rank']} with {others}: their differences are not significant."
    return {**words, "lead": lead}


def _nothing(found: Mapping[str, Any], table: Table) -> str:
    if found["limited"] == found["runs"]:
        return (
            f"Every run here was cut short with --limit ({found['prompts']} of {found['available']} prompts): "
            f"shown, and not ranked."
        )
    if not any(row.changes for row in table.rows):
        return "No run here has a base yet: the same model without a method, on the same prompts."
    return "No method here beats its base significantly."


def _name(metric: str) -> str:
    """Within a sentence: in small letters, names like Dist-2 as they are."""
    name = describe([metric])[metric].display_name
    return name if any(sign.isdigit() or sign.isupper() for sign in name[1:]) else name.lower()


def _share(found: Mapping[str, Any]) -> str:
    return f"−{round(-100 * found['change'][0] / found['from'])}%"


def _side(side: Mapping[str, Any]) -> str:
    digits = 1 if max(side["from"], side["to"]) >= 10 else 2
    return f"{_name(side['metric'])} {figures.number(side['from'], digits)} → {figures.number(side['to'], digits)}"


def _join(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
