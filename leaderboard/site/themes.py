"""Colours of charts in the light and the dark theme; ``static/site.css`` has the same for the pages.

Colours of methods are after Okabe and Ito (2008), told apart by shape as well; differences go from blue to orange,
which all common forms of colour blindness tell apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SHAPES = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right", "triangle-left"]
LIGHT = {
    "ink": "#16202b",
    "muted": "#55606d",
    "line": "#d5dae1",
    "middle": "#f4f2ee",
    "paper": "#ffffff",
    "methods": ["#5c6672", "#0072b2", "#d55e00", "#008060", "#a84f86", "#b07800", "#2a8fc4", "#7f3c8d", "#8a3b12"],
    "less": "#0b62a4",
    "more": "#c2560c",
}
DARK = {
    "ink": "#eceff3",
    "muted": "#a3adb9",
    "line": "#343d48",
    "middle": "#20272f",
    "paper": "#12171d",
    "methods": ["#a9b3bf", "#4ea8e0", "#ff8b52", "#35c79f", "#e39ac8", "#f2bd46", "#8fd6ff", "#c493d4", "#e0936c"],
    "less": "#4ea8e0",
    "more": "#ff9950",
}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Helvetica Neue', Arial, sans-serif"


def config(theme: Mapping[str, Any], font: str = FONT) -> dict[str, Any]:
    """Vega-Lite's ``config`` for a theme."""
    text = {"labelColor": theme["muted"], "titleColor": theme["ink"], "labelFontSize": 12, "titleFontSize": 13}
    return {
        "font": font,
        "background": None,
        "view": {"stroke": None},
        "axis": {
            **text,
            "titleFontWeight": 600,
            "gridColor": theme["line"],
            "domainColor": theme["line"],
            "tickColor": theme["line"],
            "titlePadding": 12,
            "labelPadding": 6,
        },
        "legend": {**text, "titleFontWeight": 600, "symbolSize": 110},
        "title": {"color": theme["ink"], "fontSize": 15, "anchor": "start"},
        "text": {"color": theme["ink"], "fontSize": 12},
        "rule": {"color": theme["muted"]},
        "range": {"category": theme["methods"], "symbol": SHAPES},
    }
