"""Charts of runs in Vega-Lite: notebooks show them, and they are saved as SVG, PNG or JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import DetoxbenchError, missing_extra, unknown
from ...core.files import write_bytes, write_json
from ...core.results import Run

VERSION = "v6.4"
"""Of Vega-Lite in vl-convert."""
MIME = "application/vnd.vegalite.v6+json"
SCALE = 2
SUFFIXES = (".svg", ".png", ".json")
COLOURS = ("#0b62a4", "#b34d08", "#2f7d4f", "#7b4fa3")
FONT = "Liberation Sans, Arial, sans-serif"
"""Which vl-convert brings along."""


@dataclass(frozen=True, repr=False)
class Chart:
    """A chart.

    Args:
        spec: in Vega-Lite, with its data.
    """

    spec: Mapping[str, Any]

    def save(self, path: Path | str) -> Path:
        """Write ``.svg``, ``.png`` or ``.json``; the first two need the package vl-convert-python.

        Raises:
            DetoxbenchError: for another suffix, or without the package.
        """
        written = Path(path)
        if written.suffix not in SUFFIXES:
            raise DetoxbenchError(f"'{path}': a chart is saved as one of {', '.join(SUFFIXES)}")
        if written.suffix == ".json":
            write_json(written, self.spec)
            return written
        try:
            import vl_convert
        except ImportError:
            raise missing_extra("vl-convert-python", "plots", f"a chart as {written.suffix}") from None
        if written.suffix == ".svg":
            write_bytes(written, vl_convert.vegalite_to_svg(dict(self.spec), vl_version=VERSION).encode())
        else:
            write_bytes(written, vl_convert.vegalite_to_png(dict(self.spec), vl_version=VERSION, scale=SCALE))
        return written

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """What notebooks show."""
        return {MIME: dict(self.spec), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"Chart({self.spec['title']['text']!r}, {len(self.spec['data']['values'])} values)"


def intervals(runs: Sequence[Run], metric: str) -> Chart:
    """A metric of every task with its 95% interval, a colour a run.

    Raises:
        DetoxbenchError: for a metric that no task of the runs has.
    """
    rows = []
    known: set[str] = set()
    for run in runs:
        for name, task in run.tasks.items():
            estimates = task.estimates()
            known.update(estimates)
            if metric in estimates:
                value, low, high = (None if math.isnan(part) else part for part in estimates[metric])
                shown = {"task": name, "language": task.record.lang or name, "run": run.label}
                rows.append({**shown, "value": value, "low": low, "high": high})
    if not rows:
        raise unknown("metric", metric, known, "These are in the results.")
    title = metric.replace("_", " ")
    position = {
        "y": {"field": "language", "type": "nominal", "title": None, "sort": None},
        "yOffset": {"field": "run", "type": "nominal", "sort": None},
        "color": {"field": "run", "type": "nominal", "title": None, "scale": {"range": list(COLOURS)},
                  "legend": {"orient": "top", "labelLimit": 600}},
    }  # fmt: skip
    axis = {"type": "quantitative", "title": title, "scale": {"zero": False}}
    return Chart(
        {
            "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
            "background": "white",
            "padding": 12,
            "title": {"text": f"{title}, with 95% intervals", "anchor": "start"},
            "data": {"values": rows},
            "width": 480,
            "height": {"step": 14},
            "config": {"font": FONT, "view": {"stroke": None}},
            "encoding": position,
            "layer": [
                {"mark": {"type": "rule", "strokeWidth": 2},
                 "encoding": {"x": {"field": "low", **axis}, "x2": {"field": "high"}}},
                {"mark": {"type": "point", "filled": True, "size": 50, "tooltip": True},
                 "encoding": {"x": {"field": "value", **axis}}},
            ],
        }
    )  # fmt: skip
