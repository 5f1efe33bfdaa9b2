"""Charts of a validity report: AUC by language beside the annotators' ceiling, and reliability curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.errors import missing_extra
from ...core.files import write_bytes
from ...core.validity.measure import MACRO

VERSION = "v6.4"
"""Of Vega-Lite in vl-convert."""
SCALE = 2
FONT = "Liberation Sans, Arial, sans-serif"
"""Which vl-convert brings along."""
COLOURS = ("#0b62a4", "#b34d08", "#2f7d4f", "#7b4fa3", "#a8324a", "#5d6b1f", "#00727a", "#8a5a00")
CEILING = "one annotator against the others"
GREY = "#8b95a1"
MEAN = "mean"


def draw(found: Mapping[str, Any], folder: Path) -> list[Path]:
    """``FOLDER/validity-auc`` and ``FOLDER/validity-reliability``, ``.svg`` and ``.png``.

    Raises:
        DetoxbenchError: without the package vl-convert-python.
    """
    try:
        import vl_convert
    except ImportError:
        raise missing_extra("vl-convert-python", "plots", "--plot") from None
    written = []
    for name, chart in (("auc", auc(found)), ("reliability", reliability(found))):
        for suffix, convert in (("svg", vl_convert.vegalite_to_svg), ("png", vl_convert.vegalite_to_png)):
            content = convert(chart, vl_version=VERSION, **({"scale": SCALE} if suffix == "png" else {}))
            path = folder / f"validity-{name}.{suffix}"
            write_bytes(path, content.encode() if isinstance(content, str) else content)
            written.append(path)
    return written


def _page(title: str, subtitle: str) -> dict[str, Any]:
    return {
        "background": "white", "padding": 16,
        "title": {"text": title, "subtitle": subtitle, "anchor": "start", "fontSize": 15,
                  "subtitleColor": "#55606d", "offset": 14},
        "config": {"font": FONT, "view": {"stroke": None}, "axis": {"gridColor": "#e6e8eb", "labelFontSize": 12}},
    }  # fmt: skip


def _colours(found: Mapping[str, Any]) -> dict[str, Any]:
    names = [one["name"] for one in found["scorers"]]
    return {
        "field": "scorer", "type": "nominal", "title": None, "sort": [*names, CEILING],
        "scale": {"domain": [*names, CEILING],
                  "range": [*(COLOURS[at % len(COLOURS)] for at in range(len(names))), GREY]},
        "legend": {"orient": "top", "labelFontSize": 12, "labelLimit": 400},
    }  # fmt: skip


def auc(found: Mapping[str, Any]) -> dict[str, Any]:
    """Every scorer's AUC with its interval in each language and on average, with the ceiling behind."""
    rows = []
    sides = [(one["name"], one) for one in found["scorers"]]
    if found["annotators"] is not None:
        sides.append((CEILING, found["annotators"]))
    for name, side in sides:
        entries = {lang: entry["figures"] for lang, entry in side["languages"].items()} | {MEAN: side[MACRO]["figures"]}
        for lang, figures in entries.items():
            if figures.get("auc", {}).get("value") is not None:
                rows.append({"scorer": name, "language": lang, **figures["auc"]})
    order = [*found["languages"], MEAN]
    y = {"field": "language", "type": "nominal", "sort": order, "title": None,
         "axis": {"ticks": False, "domain": False, "labelPadding": 8, "grid": False}}  # fmt: skip
    shared = {
        "y": y,
        "yOffset": {"field": "scorer", "type": "nominal", "sort": [name for name, _ in sides]},
        "color": _colours(found),
    }
    # Wide enough for every bound, and 0.5, what guessing reaches, is always in view.
    low = min([0.5, *(row["low"] for row in rows if row["low"] is not None)])
    x = {"type": "quantitative", "title": "AUC with 95% interval",
         "scale": {"domain": [low - 0.01, 1.0], "nice": False, "zero": False}}  # fmt: skip
    return {
        **_page(f"{found['labels']['title']}: AUC by language", f"{found['texts']:,} texts · dashed: chance"),
        "width": 620, "height": {"step": 9},
        "data": {"values": rows},
        "layer": [
            {"mark": {"type": "rule", "strokeDash": [4, 3], "color": "#16202b"},
             "data": {"values": [{}]}, "encoding": {"x": {**x, "datum": 0.5}}},
            {"mark": {"type": "rule", "strokeWidth": 2},
             "encoding": {**shared, "x": {**x, "field": "low"}, "x2": {"field": "high"}}},
            {"mark": {"type": "point", "filled": True, "size": 42, "opacity": 1},
             "encoding": {**shared, "x": {**x, "field": "value"}}},
        ],
    }  # fmt: skip


def reliability(found: Mapping[str, Any]) -> dict[str, Any]:
    """Share of texts that people call toxic against the score, over all languages, a panel a scorer."""
    rows = []
    for one in found["scorers"]:
        bins: dict[float, list[float]] = {}
        for entry in one["languages"].values():
            for curve in entry["reliability"]:
                total = bins.setdefault(curve["low"], [0.0, 0.0, 0.0])
                for place, value in enumerate((1.0, curve["score"], curve["toxic"])):
                    total[place] += curve["texts"] * value
        for texts, score, toxic in bins.values():
            rows.append({"scorer": one["name"], "texts": texts, "score": score / texts, "toxic": toxic / texts})
    x = {"field": "score", "type": "quantitative", "title": "score", "scale": {"domain": [0, 1]}}
    y = {"field": "toxic", "type": "quantitative", "title": "share toxic by people", "scale": {"domain": [0, 1]}}
    colour = {**_colours(found), "legend": None}
    panels = [
        {
            "title": {"text": one["name"], "anchor": "start", "fontSize": 13},
            "width": 230, "height": 230,
            "layer": [
                {"mark": {"type": "line", "color": GREY, "strokeDash": [4, 3]},
                 "data": {"values": [{"score": 0, "toxic": 0}, {"score": 1, "toxic": 1}]},
                 "encoding": {"x": x, "y": y}},
                {"mark": {"type": "line", "strokeWidth": 2}, "encoding": {"x": x, "y": y, "color": colour}},
                {"mark": {"type": "point", "filled": True, "opacity": 1},
                 "encoding": {"x": x, "y": y, "color": colour,
                              "size": {"field": "texts", "type": "quantitative", "legend": None,
                                       "scale": {"range": [20, 260]}}}},
            ],
            "data": {"values": [row for row in rows if row["scorer"] == one["name"]]},
        }
        for one in found["scorers"]
    ]  # fmt: skip
    return {
        **_page(f"{found['labels']['title']}: reliability", "all languages · size: number of texts · dashed: ideal"),
        "concat": panels, "columns": 3, "spacing": 28,
    }  # fmt: skip
