"""The page of continual studies: what ``detoxbench continual`` wrote, as tables coloured by the change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...core import continual_file
from ...core.continual_file import MACRO
from ...core.errors import DetoxbenchError
from .metrics import describe

LEVELS = 5
"""Strengths of a colour."""
SIGNIFICANT = 0.05


def read(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """The studies in some files, or folders with a ``continual.json``.

    Raises:
        DetoxbenchError: for anything else.
    """
    return [continual_file.read(path) for path in paths]


def view(studies: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the template shows.

    Raises:
        DetoxbenchError: for a study whose entries are not what ``detoxbench continual`` writes.
    """
    try:
        return [_study(study) for study in studies]
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise DetoxbenchError(f"a continual study is damaged ({type(error).__name__}: {error}): run it again") from None


def _study(study: Mapping[str, Any]) -> dict[str, Any]:
    known = describe(study["metrics"])
    chosen = ", ".join(f"{name}={value}" for name, value in study["arguments"].items())
    facts = {
        "Model": study["model"], "Method": study["method"] + (f" ({chosen})" if chosen else ""),
        "Training": study.get("update"), "Prompts": study["prompt_set"],
        "Prompts a column": _span(study["prompts"].values()), "K": study["samples"], "Scorer": study["scorer"],
        "Perplexity under": study["fluency_model"], "Seeds": " ".join(map(str, study["seeds"])),
    }  # fmt: skip
    return {
        "title": f"{study['method']} on {study['model']}",
        "facts": {name: value for name, value in facts.items() if value is not None},
        "columns": study["columns"],
        "metrics": [
            {"name": known[name].display_name, "tables": list(_tables(study, name)),
             "effects": list(_effects(study, name))}
            for name in study["metrics"]
        ],
    }  # fmt: skip


def _tables(study: Mapping[str, Any], metric: str) -> Iterator[dict[str, Any]]:
    columns = [*study["columns"], MACRO]
    reach = _reach(study, metric)
    higher = study["metrics"][metric]["higher_is_better"]
    for series in study["series"]:
        found, order = series["metrics"][metric], series["order"]
        rows = []
        for at, step in enumerate(order):
            change, forgotten = found["change"][at], found["forgetting"][at]
            cells = [_cell(change[column], reach, higher, column == step) for column in columns]
            cells += [_cell(found["transfer"][at], reach, higher),
                      _cell(forgotten[MACRO] if forgotten else None, reach, higher)]  # fmt: skip
            rows.append({"name": f"{at + 1}. + {step}", "cells": cells})
        if "static" in found:
            changes = found["static"]["change"]
            cells = [_cell(changes[column], reach, higher) for column in columns]
            rows.append(
                {"name": "All at once", "cells": [*cells, _cell(None, reach, higher), _cell(None, reach, higher)]}
            )
        own = found["own_step"]
        yield {
            "variant": series["variant"], "order": " → ".join(order), "rows": rows,
            "base": [continual_file.level(found["base"][column]) for column in columns],
            "own": [_cell(own.get(column), reach, higher) for column in columns] if own else [],
        }  # fmt: skip


def _effects(study: Mapping[str, Any], metric: str) -> Iterator[dict[str, Any]]:
    for effect in study["order_effects"]:
        change = effect["metrics"][metric]
        yield {
            "a": " ".join(effect["a"]), "b": " ".join(effect["b"]), "variant": effect["variant"],
            "cells": [{"column": column, "text": continual_file.difference(entry)} for column, entry in change.items()],
        }  # fmt: skip


def _reach(study: Mapping[str, Any], metric: str) -> float:
    values = [
        abs(entry["value"])
        for series in study["series"]
        for row in series["metrics"][metric]["change"]
        for entry in row.values()
        if entry["value"] is not None
    ]
    return max(values, default=0.0) or 1.0


def _cell(entry: Mapping[str, Any] | None, reach: float, higher: bool | None, own: bool = False) -> dict[str, Any]:
    """Text, interval or that there is none, and class; blue is better where the metric has a direction."""
    if entry is None or entry["value"] is None:
        return {"text": "–", "range": "", "css": "heat"}
    value = entry["value"]
    digits = 1 if abs(value) >= 10 else 3
    strength = min(LEVELS, round(LEVELS * abs(value) / reach))
    better = value > 0 if higher else value < 0
    css = ["heat", f"{'better' if better else 'worse'}-{strength}" if strength else "", "own" if own else ""]
    if entry["p"] is not None and entry["p"] < SIGNIFICANT:
        css.append("sure")
    known = entry["low"] is not None
    return {
        "text": f"{value:+.{digits}f}",
        "range": f"{entry['low']:+.{digits}f}, {entry['high']:+.{digits}f}" if known else "no interval",
        "css": " ".join(filter(None, css)),
    }  # fmt: skip


def _span(counts: Any) -> str:
    low, high = min(counts, default=0), max(counts, default=0)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
