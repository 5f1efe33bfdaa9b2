"""The heat map of a study: change against the base, step x language, a panel an order; own steps are framed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.errors import missing_extra
from ...core.files import write_bytes

VERSION = "v6.4"
"""Of Vega-Lite in vl-convert."""
SCALE = 2
CELL = 52
FONT = "Liberation Sans, Arial, sans-serif"
"""Which vl-convert brings along."""
LESS, NONE, MORE = "#0b62a4", "#f4f2ee", "#b34d08"
SIGNIFICANT = 0.05


def converter() -> Any:
    """The package that draws.

    Raises:
        DetoxbenchError: where it is not installed.
    """
    try:
        import vl_convert
    except ImportError:
        raise missing_extra("vl-convert-python", "plots", "a plot of detoxbench continual") from None
    return vl_convert


def draw(found: Mapping[str, Any], metric: str, folder: Path) -> list[Path]:
    """``FOLDER/continual-METRIC.svg`` and ``.png``.

    Args:
        found: the content of ``continual.json``.
        metric: one of its metrics.

    Raises:
        DetoxbenchError: without the package vl-convert-python.
    """
    vl_convert = converter()
    chart = spec(found, metric)
    written = []
    for suffix, convert in (("svg", vl_convert.vegalite_to_svg), ("png", vl_convert.vegalite_to_png)):
        content = convert(chart, vl_version=VERSION, **({"scale": SCALE} if suffix == "png" else {}))
        path = folder / f"continual-{metric}.{suffix}"
        write_bytes(path, content.encode() if isinstance(content, str) else content)
        written.append(path)
    return written


def spec(found: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """The chart in Vega-Lite."""
    panels = [_panel(series, found["columns"], metric) for series in found["series"]]
    values = [abs(row["value"]) for panel in panels for row in panel["rows"] if row["value"] is not None]
    reach = max(values, default=0.0) or 1.0
    model, method = found["model"], found["method"]
    return {
        "background": "white",
        "padding": 16,
        "title": {
            "text": f"{metric.replace('_', ' ')}: change against the base, with 95% intervals",
            "subtitle": f"{method} on {model} · K = {found['samples']} · framed: own step · bold: p < 0.05",
            "anchor": "start", "fontSize": 15, "subtitleColor": "#55606d", "offset": 14,
        },
        "vconcat": [_chart(panel, found["columns"], reach) for panel in panels],
        "spacing": 24,
        "resolve": {"scale": {"color": "shared"}},
        "config": {"font": FONT, "view": {"stroke": None}},
    }  # fmt: skip


def _panel(series: Mapping[str, Any], columns: list[str], metric: str) -> dict[str, Any]:
    order, found = series["order"], series["metrics"][metric]
    stages = [(f"{at}. +{step}", step, change) for at, (step, change) in
              enumerate(zip(order, found["change"], strict=True), start=1)]  # fmt: skip
    if "static" in found:
        stages.append(("all at once", None, found["static"]["change"]))
    rows = [
        {
            "stage": name, "column": column, "value": change[column]["value"], "own": column == step,
            "text": _text(change[column]), "range": _range(change[column]),
            "significant": (change[column]["p"] or 1.0) < SIGNIFICANT,
        }
        for name, step, change in stages for column in (*columns, "macro")
    ]  # fmt: skip
    several = series["variant"]
    return {"title": f"{several} · {' → '.join(order)}", "rows": rows, "stages": [name for name, _, _ in stages]}


def _text(entry: Mapping[str, Any]) -> str:
    value = entry["value"]
    return "–" if value is None else f"{value:+.1f}" if abs(value) >= 10 else f"{value:+.2f}"


def _range(entry: Mapping[str, Any]) -> str:
    if entry["value"] is None:
        return ""
    digits = 1 if abs(entry["value"]) >= 10 else 2
    return "" if entry["low"] is None else f"{entry['low']:+.{digits}f}, {entry['high']:+.{digits}f}"


def _chart(panel: Mapping[str, Any], columns: list[str], reach: float) -> dict[str, Any]:
    dark = f"abs(datum.value) > {0.65 * reach}"
    text_colour = {"condition": {"test": dark, "value": "white"}, "value": "#16202b"}
    position = {
        "x": {"field": "column", "type": "nominal", "sort": [*columns, "macro"], "title": None,
              "axis": {"orient": "top", "labelAngle": 0, "labelFontSize": 12, "ticks": False, "domain": False}},
        "y": {"field": "stage", "type": "nominal", "sort": panel["stages"], "title": None,
              "axis": {"labelFontSize": 12, "labelPadding": 8, "ticks": False, "domain": False}},
    }  # fmt: skip
    scale = {"domain": [-reach, 0, reach], "range": [LESS, NONE, MORE], "interpolate": "lab"}
    return {
        "title": {"text": panel["title"], "anchor": "start", "fontSize": 13, "fontWeight": 600},
        "data": {"values": panel["rows"]},
        "width": {"step": 1.5 * CELL},
        "height": {"step": 0.8 * CELL},
        "encoding": position,
        "layer": [
            {"mark": {"type": "rect", "stroke": "white", "strokeWidth": 2}, "encoding": {
                "color": {"field": "value", "type": "quantitative", "scale": scale, "legend": {"title": None}}}},
            {"transform": [{"filter": "datum.own"}],
             "mark": {"type": "rect", "fill": None, "stroke": "#16202b", "strokeWidth": 2.5}},
            {"transform": [{"filter": "datum.significant"}],
             "mark": {"type": "text", "dy": -6, "fontSize": 13, "fontWeight": "bold"},
             "encoding": {"text": {"field": "text"}, "color": text_colour}},
            {"transform": [{"filter": "!datum.significant"}],
             "mark": {"type": "text", "dy": -6, "fontSize": 13},
             "encoding": {"text": {"field": "text"}, "color": text_colour}},
            {"mark": {"type": "text", "dy": 9, "fontSize": 9.5},
             "encoding": {"text": {"field": "range"}, "color": text_colour}},
        ],
    }  # fmt: skip
