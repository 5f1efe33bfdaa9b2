"""The sentence at the top of a board: what it found, in words that hold."""

from __future__ import annotations

from typing import Any

from ...core.constants import CONFIDENCE
from .metrics import COST, PRIMARY
from .tables import BASE, MACRO, Row, Table


def findings(table: Table) -> dict[str, Any]:
    """The best method that beats its base significantly, with what it costs; an empty ``kind`` where none does.

    Only runs that are ranked count. ``tied`` is the number of other runs that share its rank.
    """
    ranked = [row for row in table.rows if row.ranks.get(MACRO) is not None]
    counts = {"runs": len(table.rows), "methods": len({row.method for row in table.rows} - {BASE}), "kind": ""}
    better = [row for row in ranked if row.base is not None and _beats(row)]
    if not better:
        return counts
    best = min(better, key=lambda row: (row.estimate(PRIMARY)[0] or 0.0, row.record.id))
    base = table.rows[best.base or 0]
    rank = best.ranks[MACRO]
    cost, at = best.estimate(COST)[0], base.estimate(COST)[0]
    return {
        **counts,
        "kind": "reduction",
        "run": best.record.id,
        "method": best.name,
        "model": best.model,
        "from": _short(base.estimate(PRIMARY)[0]),
        "to": _short(best.estimate(PRIMARY)[0]),
        "change": [_short(number) for number in best.changes[PRIMARY][MACRO]],
        "rank": rank,
        "tied": sum(row.ranks[MACRO] == rank for row in ranked) - 1,
        "cost": [_short(at), _short(cost)],
    }


def _beats(row: Row) -> bool:
    change = row.changes.get(PRIMARY, {}).get(MACRO)
    return bool(change and change[0] is not None and change[0] < 0 and (change[3] or 1.0) < 1 - CONFIDENCE)


def _short(number: float | None) -> float | None:
    """As many digits as records have: the page rounds, and rounding twice would differ from the table beside it."""
    return None if number is None else float(f"{number:.6g}")
