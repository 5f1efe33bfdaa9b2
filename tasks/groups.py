"""Results per value of a grouping: an axis, a harm category, a column of the user's file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.metric_names import on_subset
from ..core.metrics.fractions import Fractions, summarize

WITH_INTERVALS = 100
"""Values of a grouping that get intervals, the most frequent ones first: a bootstrap each takes its time."""

LEAST = 2
"""Prompts that an interval needs."""

Groups = dict[str, dict[str, dict[str, Any]]]


def split(labels: Sequence[Sequence[str]]) -> dict[str, dict[str, list[int]]]:
    """Grouping -> value -> places of its prompts, the most frequent value first.

    Args:
        labels: ``[prompts]`` lists of ``grouping=value``; a prompt may have several values of one.
    """
    found: dict[str, dict[str, list[int]]] = {}
    for place, entries in enumerate(labels):
        for entry in dict.fromkeys(entries):
            grouping, _, value = entry.partition("=")
            found.setdefault(grouping, {}).setdefault(value, []).append(place)
    return {
        grouping: dict(sorted(values.items(), key=lambda item: (-len(item[1]), item[0])))
        for grouping, values in found.items()
    }


def summarize_groups(labels: Sequence[Sequence[str]], rows: Sequence[Fractions]) -> Groups:
    """Every metric of every value of every grouping.

    Args:
        labels: ``[prompts]`` lists of ``grouping=value``.
        rows: ``[prompts]`` fractions.

    Returns:
        Grouping -> value -> ``prompts``, and metric -> ``[value, low, high]``; None for what could not be measured, and
        for the bounds of a value with too few prompts or too far down the list.
    """
    groups: Groups = {}
    for grouping, values in split(labels).items():
        groups[grouping] = {}
        for order, (value, places) in enumerate(values.items()):
            chosen = [rows[place] for place in places]
            names = [name for name in chosen[0] if not on_subset(name)]
            entry: dict[str, Any] = {"prompts": len(places)}
            if len(places) >= LEAST and order < WITH_INTERVALS:
                found = summarize(chosen)
                for name in names:
                    entry[name] = [_plain(found[name].value), _plain(found[name].low), _plain(found[name].high)]
            else:
                entry |= {name: [_ratio(chosen, name), None, None] for name in names}
            groups[grouping][value] = entry
    return groups


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _ratio(rows: Sequence[Mapping[str, Sequence[float]]], name: str) -> float | None:
    below = sum(row[name][1] for row in rows)
    return sum(row[name][0] for row in rows) / below if below else None
