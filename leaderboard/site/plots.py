"""The charts as SVG and PNG files, drawn without a browser by vl-convert."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...core.errors import missing_extra
from . import charts
from .metrics import COST, PRIMARY, describe
from .tables import BASE, MACRO, Row, Table
from .themes import LIGHT, config

VERSION = "v6.4"
"""Of Vega-Lite in vl-convert."""
WIDTH = 860
SCALE = 2
SERIES = ("with a method", "without a method")
MOST = 60
"""Runs in one image."""
FONT = "Liberation Sans, Arial, sans-serif"
"""Which vl-convert brings along."""


def draw(folder: Path, table: Table, formats: Sequence[str] = ("svg", "png")) -> list[Path]:
    """``FOLDER/BOARD-CHART.svg`` and so on of a board, in each of the formats (``svg``, ``png``, ``pdf``).

    Raises:
        DetoxbenchError: without the package vl-convert-python.
    """
    try:
        import vl_convert
    except ImportError:
        raise missing_extra("vl-convert-python", "plots", "--plots") from None
    folder.mkdir(parents=True, exist_ok=True)
    makers: dict[str, Callable[[Table], dict[str, Any] | None]] = {
        "ranking": ranking, "tradeoff": tradeoff, "languages": languages
    }  # fmt: skip
    written = []
    for name, make in makers.items():
        spec = make(table)
        if spec is not None:
            for suffix in formats:
                convert = getattr(vl_convert, f"vegalite_to_{suffix}")
                path = folder / f"{table.id}-{name}.{suffix}"
                options: dict[str, Any] = {"scale": SCALE} if suffix == "png" else {}
                content = convert(spec, vl_version=VERSION, **options)
                path.write_bytes(content.encode() if isinstance(content, str) else content)
                written.append(path)
    return written


def _finish(table: Table, spec: dict[str, Any], width: int = WIDTH, subtitle: str = "") -> dict[str, Any]:
    words = "Embedded models only, nothing about real ones · " if table.mini else ""
    title = {"text": "".join(sign for sign in words + table.title if sign.isprintable())[:150], "offset": 16,
             **({"subtitle": subtitle, "subtitlePadding": 6} if subtitle else {})}  # fmt: skip
    return {**spec, "title": title, "width": width, "background": LIGHT["paper"], "padding": 16,
            "config": config(LIGHT, FONT)}  # fmt: skip


def _title(name: str) -> str:
    metric = describe([name])[name]
    return metric.display_name + {True: " ↑", False: " ↓", None: ""}[metric.higher_is_better]


def label(table: Table, row: Row) -> str:
    """The row's name, with its model where the table has several; without direction marks and not too long."""
    several = len({other.model for other in table.rows}) > 1
    text = f"{row.name} · {row.model}" if several else row.name
    text = "".join(sign for sign in text if sign.isprintable())
    return text if len(text) <= 60 else text[:59] + "…"


def _whole(row: Row, metric: str) -> tuple[float, float, float] | None:
    value, low, high = row.estimate(metric)
    return None if value is None else (value, value if low is None else low, value if high is None else high)


def ranking(table: Table) -> dict[str, Any] | None:
    """Every run's ``PRIMARY`` with its interval, best first; those without a rank (limited ones) bear no number."""
    found = []
    for row in table.rows:
        estimate, rank = _whole(row, PRIMARY), row.ranks[MACRO]
        if estimate:
            value, low, high = estimate
            name = label(table, row)
            found.append({"label": name if rank is None else f"{rank}. {name}", "series": SERIES[row.method == BASE],
                          "value": value, "low": low, "high": high, "rank": rank})  # fmt: skip
    rows = sorted(found, key=lambda row: (row["rank"] is None, row["rank"] or 0, row["value"]))[:MOST]
    if not rows:
        return None
    chart = charts.intervals()
    chart["encoding"] = {"y": chart["encoding"]["y"]}
    chart["layer"][0]["encoding"].pop("yOffset")
    chart["height"] = {"step": 26}
    charts.order_series(chart, SERIES)
    return _finish(table, charts.filled(chart, rows, title=_title(PRIMARY)))


def tradeoff(table: Table) -> dict[str, Any] | None:
    """``PRIMARY`` against ``COST``."""
    rows = []
    for row in sorted(table.rows, key=lambda row: (row.method != BASE, row.method)):
        x, y = _whole(row, PRIMARY), _whole(row, COST)
        if x and y:
            name = label(table, row)
            rows.append({
                "x": x[0], "xLow": x[1], "xHigh": x[2], "y": y[0], "yLow": y[1], "yHigh": y[2], "name": name,
                "model": row.model, "method": row.method, "front": row.front,
                "label": name[:34] if row.front or len(table.rows) <= 14 else None,
            })  # fmt: skip
    if not rows:
        return None
    chart = charts.tradeoff()
    charts.order_methods(chart, list(dict.fromkeys(str(row["method"]) for row in rows)))
    return _finish(table, charts.filled(chart, rows, xTitle=_title(PRIMARY), yTitle=_title(COST)))


def languages(table: Table) -> dict[str, Any] | None:
    """Change of ``PRIMARY`` against the base, by language."""
    changed = [row for row in table.rows if row.changes.get(PRIMARY)]
    changed.sort(key=lambda row: (found.value or 0.0) if (found := row.changes[PRIMARY].get(MACRO)) else 0.0)
    rows = [
        {"name": label(table, row), "language": "all" if scope == MACRO else scope, "languageName": scope,
         "change": change.value, "p": change.p, "significant": change.significant}
        for row in changed[:MOST]
        for scope in (MACRO, *table.languages)
        if (change := row.changes[PRIMARY].get(scope)) and change.value is not None
    ]  # fmt: skip
    if not rows:
        return None
    reach = charts.reach_of([row["change"] for row in rows])
    about = f"{_title(PRIMARY)}: change against the same model without a method. A dot and bold: significant"
    return _finish(table, charts.filled(charts.heatmap(), rows, reach=reach), 52 * (len(table.languages) + 1), about)
