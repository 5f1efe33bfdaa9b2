"""The charts, as Vega-Lite specifications without data: the pages fill them in a browser, ``--plots`` on this machine.

Every specification reads the data set ``rows`` and its titles and domains from parameters, so that one definition
serves both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .themes import LIGHT, config

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"


def _value(name: str, title: str, **scale: Any) -> dict[str, Any]:
    return {
        "field": name,
        "type": "quantitative",
        "axis": {"title": {"expr": title}, "tickCount": 6},
        "scale": {"zero": False, "nice": True, "padding": 14, **scale},
    }


def tradeoff() -> dict[str, Any]:
    """Two metrics against each other with both intervals; the front's steps bound what has been reached."""
    x, y = _value("x", "xTitle"), _value("y", "yTitle")
    legend = {"title": None, "orient": "top", "columns": 9, "symbolOpacity": 1}
    method = {"field": "method", "type": "nominal", "sort": None, "legend": legend}
    labels = {
        "transform": [{"filter": "datum.label"}],
        "mark": {"type": "text", "align": "left", "dx": 9, "dy": -11, "fontWeight": 600, "limit": 210},
    }
    tooltip = [
        {"field": "name", "title": "Method"},
        {"field": "model", "title": "Model"},
        {"field": "xText", "title": "Across"},
        {"field": "yText", "title": "Up"},
    ]
    return {
        "$schema": SCHEMA,
        "description": "Each run as a point with the intervals of both metrics; less is better in both.",
        "width": "container",
        "height": 460,
        "params": [{"name": "xTitle", "value": ""}, {"name": "yTitle", "value": ""}],
        "data": {"name": "rows"},
        "layer": [
            {
                "transform": [{"filter": "datum.front"}],
                "mark": {"type": "line", "aria": False, "interpolate": "step-after", "strokeDash": [5, 4],
                         "strokeWidth": 1.6, "opacity": 0.8, "color": {"expr": "config_muted"}},
                "encoding": {"x": x, "y": y, "order": {"field": "x"}},
            },
            {
                "mark": {"type": "rule", "aria": False, "strokeWidth": 1.4, "opacity": 0.55},
                "encoding": {"x": {**x, "field": "xLow"}, "x2": {"field": "xHigh"}, "y": y, "color": method},
            },
            {
                "mark": {"type": "rule", "aria": False, "strokeWidth": 1.4, "opacity": 0.55},
                "encoding": {"y": {**y, "field": "yLow"}, "y2": {"field": "yHigh"}, "x": x, "color": method},
            },
            {
                **labels,
                "mark": {**labels["mark"], "aria": False, "stroke": {"expr": "config_paper"}, "strokeWidth": 4,
                         "strokeJoin": "round"},
                "encoding": {"x": x, "y": y, "text": {"field": "label"}},
            },
            {
                "name": "points",
                "mark": {"type": "point", "filled": True, "size": 130, "opacity": 1, "cursor": "pointer"},
                "encoding": {
                    "x": x,
                    "y": y,
                    "color": method,
                    "shape": method,
                    "tooltip": tooltip,
                },
            },
            {**labels, "encoding": {"x": x, "y": y, "text": {"field": "label"}}},
        ],
    }  # fmt: skip


def heatmap() -> dict[str, Any]:
    """Change against the base, rows by language. The hue says which way, its depth how far, and nothing but a dot and
    bold figures says that a change is significant: a pale cell never hides a large one."""
    x = {
        "field": "language", "type": "nominal", "sort": None, "title": None,
        "axis": {"orient": "top", "labelAngle": 0, "labelFontSize": 13, "ticks": False, "domain": False,
                 "labelFontWeight": 600},
    }  # fmt: skip
    y = {
        "field": "name", "type": "nominal", "sort": None, "title": None,
        "axis": {"labelLimit": 230, "ticks": False, "domain": False, "labelFontSize": 13, "labelPadding": 10},
    }  # fmt: skip
    tooltip = [
        {"field": "name", "title": "Method"},
        {"field": "languageName", "title": "Language"},
        {"field": "text", "title": "Change"},
        {"field": "p", "title": "Adjusted p", "format": ".3g"},
    ]
    return {
        "$schema": SCHEMA,
        "description": "Change of a metric against the same model without a method, by language.",
        "width": "container",
        "height": {"step": 40},
        "params": [{"name": "reach", "value": 1}, {"name": "digits", "value": "+.2f"}],
        "data": {"name": "rows"},
        "transform": [{"calculate": "format(datum.change, digits)", "as": "shown"}],
        "encoding": {"x": x, "y": y},
        "layer": [
            {
                "mark": {"type": "rect", "cornerRadius": 4, "stroke": {"expr": "config_paper"}, "strokeWidth": 3},
                "encoding": {
                    "color": {
                        "field": "change",
                        "type": "quantitative",
                        "scale": {
                            "domain": [{"expr": "-reach"}, 0, {"expr": "reach"}],
                            "range": [{"expr": f"config_{name}"} for name in ("less", "middle", "more")],
                            "interpolate": "lab",
                            "clamp": True,
                        },
                        "legend": {"title": None, "orient": "bottom", "gradientLength": 220, "format": "+.2~f",
                                   "offset": 8},
                    },
                    "tooltip": tooltip,
                },
            },
            {
                "mark": {"type": "text", "fontSize": 12.5,
                         "fontWeight": {"expr": "datum.significant ? 700 : 400"}},
                "encoding": {
                    "text": {"field": "shown"},
                    "color": {
                        "condition": {"test": "abs(datum.change) > reach * 0.68",
                                      "value": {"expr": "config_paper"}},
                        "value": {"expr": "config_ink"},
                    },
                },
            },
            {
                "transform": [{"filter": "datum.significant"}],
                "mark": {"type": "point", "aria": False, "filled": True, "size": 16, "opacity": 1, "shape": "circle",
                         "yOffset": -12, "tooltip": None},
                "encoding": {
                    "color": {
                        "condition": {"test": "abs(datum.change) > reach * 0.68", "value": {"expr": "config_paper"}},
                        "value": {"expr": "config_ink"},
                    },
                },
            },
        ],
    }  # fmt: skip


def reach_of(changes: Sequence[float]) -> float:
    """Where the colours of a heat map end: the largest change, or Tukey's upper fence where a few lie beyond it.

    >>> reach_of([0.1, -0.2, 0.2, -0.1]), round(reach_of([0.1, -0.2, 0.2, -0.1, 0.15, 24.0]), 2)
    (0.2, 0.35)
    """
    sizes = sorted(abs(change) for change in changes)
    if not sizes:
        return 1.0
    low, high = (sizes[min(len(sizes) - 1, int(share * len(sizes)))] for share in (0.25, 0.75))
    return min(sizes[-1], high + 1.5 * (high - low)) or sizes[-1] or 1.0


def intervals() -> dict[str, Any]:
    """One dot with its interval a row; several series beside each other. A vertical line where ``reference`` is."""
    y = {
        "field": "label", "type": "nominal", "sort": None, "title": None,
        "axis": {"labelLimit": 230, "ticks": False, "domain": False, "grid": True, "labelFontSize": 13,
                 "labelPadding": 10},
    }  # fmt: skip
    offset = {"field": "series", "type": "nominal", "sort": None}
    series = {**offset, "legend": {"title": None, "orient": "top", "labelLimit": 300}}
    return {
        "$schema": SCHEMA,
        "description": "Estimates with their 95% intervals.",
        "width": "container",
        "height": {"step": 16, "for": "offset"},
        "params": [{"name": "title", "value": ""}, {"name": "reference", "value": None}],
        "data": {"name": "rows"},
        "encoding": {"y": y, "yOffset": offset},
        "layer": [
            {
                "data": {"values": [{}]},
                "transform": [{"calculate": "reference", "as": "at"}, {"filter": "isValid(datum.at)"}],
                "mark": {"type": "rule", "aria": False, "strokeDash": [4, 4], "strokeWidth": 1.4},
                "encoding": {"x": {"field": "at", "type": "quantitative"}, "y": None, "yOffset": None},
            },
            {
                "mark": {"type": "rule", "aria": False, "strokeWidth": 2.5, "opacity": 0.6, "strokeCap": "round"},
                "encoding": {
                    "x": {**_value("low", "title")},
                    "x2": {"field": "high"},
                    "color": series,
                },
            },
            {
                "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
                "encoding": {
                    "x": _value("value", "title"),
                    "color": series,
                    "shape": series,
                    "tooltip": [
                        {"field": "label", "title": " "},
                        {"field": "series", "title": "Run"},
                        {"field": "text", "title": "Value"},
                    ],
                },
            },
        ],
    }


def order_methods(chart: dict[str, Any], names: Sequence[str]) -> None:
    """Give the methods of ``tradeoff`` their order; with one domain, colours and shapes have one legend."""
    for layer in chart["layer"]:
        for channel in ("color", "shape"):
            if channel in layer["encoding"]:
                layer["encoding"][channel] = {**layer["encoding"][channel], "scale": {"domain": list(names)}}


def order_series(chart: dict[str, Any], names: Sequence[str]) -> None:
    """Give the series of ``intervals`` their order: the first in the colour that stands out, the second muted."""
    colours = [{"expr": "config_less"}, {"expr": "config_muted"}][: len(names)]
    for layer in chart["layer"]:
        for channel, extra in (("color", {"range": colours}), ("shape", {})):
            if channel in layer["encoding"]:
                scale = {"domain": list(names), **extra}
                layer["encoding"][channel] = {**layer["encoding"][channel], "scale": scale}


def scatter() -> dict[str, Any]:
    """One dot a prompt: run A across, run B up; below the diagonal B is lower."""

    def axis(field: str, title: str) -> dict[str, Any]:
        return {**_value(field, title), "scale": {"domain": [{"expr": "least"}, {"expr": "most"}], "nice": False}}

    return {
        "$schema": SCHEMA,
        "description": "Each prompt under both runs.",
        "width": "container",
        "height": 380,
        "params": [
            {"name": "xTitle", "value": ""},
            {"name": "yTitle", "value": ""},
            {"name": "least", "value": 0},
            {"name": "most", "value": 1},
        ],
        "data": {"name": "rows"},
        "layer": [
            {
                "data": {"values": [{"at": "least"}, {"at": "most"}]},
                "transform": [{"calculate": "datum.at === 'least' ? least : most", "as": "x"}],
                "mark": {"type": "line", "aria": False, "strokeDash": [5, 4], "strokeWidth": 1.2,
                         "color": {"expr": "config_muted"}},
                "encoding": {"x": axis("x", "xTitle"), "y": axis("x", "yTitle")},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 42, "opacity": 0.5,
                         "color": {"expr": "config_less"}},
                "encoding": {
                    "x": axis("x", "xTitle"),
                    "y": axis("y", "yTitle"),
                    "tooltip": [
                        {"field": "language", "title": "Language"},
                        {"field": "prompt", "title": "Prompt"},
                        {"field": "x", "title": "A", "format": ".3f"},
                        {"field": "y", "title": "B", "format": ".3f"},
                    ],
                },
            },
        ],
    }  # fmt: skip


CHARTS = {"tradeoff": tradeoff, "heatmap": heatmap, "intervals": intervals, "scatter": scatter}


def filled(
    chart: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], theme: Mapping[str, Any] = LIGHT, **params: Any
) -> dict[str, Any]:
    """A chart with its data, parameters and colours: what the pages do in ``charts.js``."""
    given = {param["name"]: param["value"] for param in chart["params"]}
    if set(params) - set(given):
        raise ValueError(f"the chart has no parameter {set(params) - set(given)}; it has {', '.join(given)}")
    given |= params | {f"config_{name}": theme[name] for name in ("ink", "muted", "paper", "less", "middle", "more")}
    return {
        **chart,
        "config": config(theme),
        "params": [{"name": name, "value": value} for name, value in given.items()],
        "data": {"values": list(rows)},
    }
