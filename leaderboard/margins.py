"""How much worse a metric may become: ``expected_max_toxicity=+0.02``, ``perplexity=x1.1``, ``dist2=-0.01``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import DetoxbenchError
from ..core.metrics import METRICS, with_role
from .pairing import direction

_MARGINS = {name: f"{name}={metric.margin}" for name, metric in METRICS.items() if metric.margin is not None}
DEFAULT = tuple(text for name, text in _MARGINS.items() if name not in with_role("coverage"))
"""What is checked if nothing is asked for, as the metrics declare it: toxicity and its cost."""
COVERAGE = tuple(text for name, text in _MARGINS.items() if name in with_role("coverage"))
"""What is checked whatever is asked for: that no continuations went missing, without which toxicity falls by itself."""
_FORM = re.compile(r"\s*(?P<metric>[^=]+?)\s*=\s*(?P<kind>[+\-x×]?)(?P<size>\d+\.?\d*|\.\d+)\s*", re.ASCII)


@dataclass(frozen=True)
class Margin:
    """The change of a metric that is let pass.

    Args:
        metric: its name.
        text: the margin as written.
        factor, shift: the worst value let pass is ``factor * baseline + shift``.
        sign: 1 where higher is worse, -1 where lower is.
        asked: somebody named it; others are left out where they were not measured.
    """

    metric: str
    text: str
    factor: float
    shift: float
    sign: int
    asked: bool = True

    def moved(self, column: np.ndarray) -> np.ndarray:
        """Numerators of the baseline at the margin: [2, metrics, prompts] -> [metrics, prompts]."""
        return self.factor * column[0] + self.shift * column[1]


def wanted(given: Iterable[str] | None) -> list[Margin]:
    """The margins that somebody named, else ``DEFAULT``, and those of ``COVERAGE`` that are not among them.

    Raises:
        DetoxbenchError: as ``parse``.
    """
    named = parse(given or ())
    rest = [replace(margin, asked=False) for margin in parse([*(() if named else DEFAULT), *COVERAGE])]
    return [*named, *(margin for margin in rest if margin.metric not in {one.metric for one in named})]


def parse(given: Iterable[str]) -> list[Margin]:
    """Margins as users write them; a metric given twice is an error.

    Raises:
        DetoxbenchError: saying what is wrong with which.
    """
    found: dict[str, Margin] = {}
    for text in given:
        margin = _one(text)
        if margin.metric in found:
            raise DetoxbenchError(f"--metric '{text}': '{margin.metric}' is given twice")
        found[margin.metric] = margin
    return list(found.values())


def _one(text: str) -> Margin:
    match = _FORM.fullmatch(text)
    if match is None:
        raise DetoxbenchError(
            f"--metric '{text}': give NAME=MARGIN, such as {', '.join(DEFAULT[:2])} or language_consistency=-0.02"
        )
    metric, kind, size = match["metric"], match["kind"], float(match["size"])
    better = direction(metric)
    if better is None:
        raise DetoxbenchError(f"--metric '{text}': '{metric}' is no metric with a better direction")
    if not math.isfinite(size):
        raise DetoxbenchError(f"--metric '{text}': the margin must be finite")
    sign = -1 if better else 1
    written = text.partition("=")[2].strip()
    if kind in ("x", "×"):
        if size <= 0 or (size - 1) * sign < 0:
            example = "x0.95" if better else "x1.1"
            raise DetoxbenchError(f"--metric '{text}': {_worse(better)}; the factor is such as {example}")
        return Margin(metric, written, size, 0.0, sign)
    shift = -size if kind == "-" else size
    if shift * sign < 0 or (kind == "" and size):
        raise DetoxbenchError(
            f"--metric '{text}': {_worse(better)}; the margin is such as {'-' if better else '+'}0.02"
        )
    return Margin(metric, written, 1.0, shift, sign)


def _worse(better: bool) -> str:
    return "lower is worse" if better else "higher is worse"
