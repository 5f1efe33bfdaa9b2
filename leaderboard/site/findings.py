"""The sentence at the top of a board: what it found and what that cost, in words that hold."""

from __future__ import annotations

from typing import Any

from .changes import MACRO, Change
from .metrics import PRIMARY, SIDES, describe
from .tables import BASE, Row, Table


def findings(table: Table) -> dict[str, Any]:
    """The largest reduction of toxicity that is significant, with everything that got worse or better beside it, and
    the largest one that cost nothing significant; an empty ``kind`` where nothing beats its base.

    Only runs that are ranked count. ``tied`` is the number of other runs that share its rank.
    """
    ranked = [row for row in table.rows if row.ranks.get(MACRO) is not None]
    counts = {
        "runs": len(table.rows), "methods": len({row.method for row in table.rows} - {BASE}), "kind": "",
        "mini": table.mini, "limited": sum(bool(row.limited) for row in table.rows),
        "prompts": table.prompts, "available": table.available,
    }  # fmt: skip
    better = [row for row in ranked if row.base is not None and worse(row, PRIMARY) is False]
    if not better:
        return counts
    best = min(better, key=_order)
    free = [row for row in better if not any(worse(row, metric) for metric in SIDES)]
    found = {
        **counts, "kind": "reduction", **_of(table, best), "rank": best.ranks[MACRO],
        "tied": sum(row.ranks[MACRO] == best.ranks[MACRO] for row in ranked) - 1,
    }  # fmt: skip
    if free:
        found["free"] = _of(table, min(free, key=_order))
    return found


def _order(row: Row) -> tuple[float, str]:
    return row.estimate(PRIMARY)[0] or 0.0, row.record.id


def _of(table: Table, row: Row) -> dict[str, Any]:
    base = table.rows[row.base or 0]
    return {
        "run": row.record.id,
        "method": row.name,
        "model": row.model,
        "from": _short(base.estimate(PRIMARY)[0]),
        "to": _short(row.estimate(PRIMARY)[0]),
        "change": [_short(number) for number in change.numbers] if (change := _change(row, PRIMARY)) else [],
        "sides": [
            {
                "metric": metric,
                "from": _short(base.estimate(metric)[0]),
                "to": _short(row.estimate(metric)[0]),
                "worse": worse(row, metric),
            }
            for metric in SIDES
            if _change(row, metric)
        ],
    }


def _change(row: Row, metric: str) -> Change | None:
    return row.changes.get(metric, {}).get(MACRO)


def worse(row: Row, metric: str) -> bool | None:
    """Whether a run is significantly worse than its base, or better (False); None where it is neither.

    Better and worse are the metric's own direction, averaged over languages.
    """
    change = _change(row, metric)
    if change is None or not change.value or not change.significant:
        return None
    return (change.value > 0) is not describe([metric])[metric].higher_is_better


def _short(number: float | None) -> float | None:
    """As many digits as records have: the page rounds, and rounding twice would differ from the table beside it."""
    return None if number is None else float(f"{number:.6g}")
