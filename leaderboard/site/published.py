"""Numbers from papers, set apart from ours: read from ``leaderboard/published/`` and never ranked."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydantic

from ...core.parsing import parse_json
from ..submissions import Strict
from .metrics import describe

FOLDER = Path(__file__).parents[1] / "published"
CHANGE = "_change"


class Figure(Strict):
    """One number of a paper.

    Args:
        paper: short citation; ``papers.json`` has the full one.
        setting: prompts, as the paper calls them.
        value: the figure as printed, kept as text so that its digits stay.
        n_samples: K.
        scorer: scorer and its date; empty for a metric that needs none.
        source: where in the paper's material it stands.
    """

    paper: str
    base_model: str
    method: str
    setting: str
    language: str
    metric: str
    value: str
    n_samples: str
    scorer: str
    source: str

    @pydantic.field_validator("value")
    @classmethod
    def _is_a_number(cls, value: str) -> str:
        float(value)
        return value


def read(folder: Path = FOLDER) -> list[Figure]:
    """All figures, in the file's order."""
    with (folder / "published.csv").open(encoding="utf-8", newline="") as file:
        return [Figure(**row) for row in csv.DictReader(file)]


def papers(figures: Sequence[Figure], folder: Path = FOLDER) -> list[dict[str, Any]]:
    """Figures by paper and setting, one row a model, method and language, for the page's template."""
    known = parse_json((folder / "papers.json").read_text(encoding="utf-8"))
    found = []
    for name in dict.fromkeys(figure.paper for figure in figures):
        own = [figure for figure in figures if figure.paper == name]
        settings = dict.fromkeys(figure.setting for figure in own)
        found.append({
            "name": name,
            **known.get(name, {"citation": name, "url": ""}),
            "tables": [_table(setting, [one for one in own if one.setting == setting]) for setting in settings],
        })  # fmt: skip
    return found


def _table(setting: str, figures: Sequence[Figure]) -> dict[str, Any]:
    metrics = list(dict.fromkeys(figure.metric for figure in figures))
    values = {(f.base_model, f.method, f.language, f.metric): _signed(f) for f in figures}
    rows = dict.fromkeys((f.base_model, f.method, f.language) for f in figures)
    return {
        "setting": setting,
        "metrics": [_title(metric) for metric in metrics],
        "scorers": "; ".join(_scored_by(figures)) or "no scorer",
        "samples": ", ".join(dict.fromkeys(f.n_samples for f in figures)),
        "sources": "; ".join(dict.fromkeys(f.source for f in figures)),
        "rows": [
            {
                "model": row[0],
                "method": row[1],
                "language": row[2],
                "values": [values.get((*row, m), "–") for m in metrics],
            }
            for row in rows
        ],
    }


def _scored_by(figures: Sequence[Figure]) -> list[str]:
    """Which metrics each scorer, or fluency model, stands behind."""
    by: dict[str, list[str]] = {}
    for figure in figures:
        if figure.scorer:
            by.setdefault(figure.scorer, []).append(_title(figure.metric))
    return [f"{', '.join(dict.fromkeys(titles))} by {scorer}" for scorer, titles in by.items()]


def _signed(figure: Figure) -> str:
    return figure.value.replace("-", "−")


def _title(metric: str) -> str:
    name = metric.removesuffix(CHANGE)
    title = describe([name])[name].display_name
    return f"{title}, relative change" if metric.endswith(CHANGE) else title
