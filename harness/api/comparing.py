"""``detoxbench.compare``."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from ...core.coverage import COVERAGE_MARGIN
from ...core.errors import unknown
from ...core.results import Run
from ...leaderboard import compare as comparison
from ...leaderboard import pairing
from ...leaderboard.compare import Change, Comparison
from ..cli.compare import WIDTH, show
from .chart import Chart, intervals
from .run_result import RunResult


@dataclass(frozen=True)
class Compared:
    """What changes from a run to another.

    Args:
        runs: both.
        found: every change, and how many prompts had no partner.
    """

    runs: tuple[Run, Run]
    found: Comparison

    @property
    def changes(self) -> Sequence[Change]:
        """One for each metric of each language, and of the macro-average (``language == "macro"``)."""
        return self.found.changes

    def table(self) -> str:
        """The tables of ``detoxbench compare``."""
        text = io.StringIO()
        show(self.found, Console(file=text, width=WIDTH))
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())

    def plot(self, metric: str = "expected_max_toxicity") -> Chart:
        """A metric of both runs with its 95% intervals; whether they differ, ``changes`` say: runs are paired.

        Raises:
            DetoxbenchError: for a metric that neither has.
        """
        return intervals(self.runs, metric)

    def as_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return self.found.as_json()


def compare(
    a: RunResult | Path | str,
    b: RunResult | Path | str,
    metrics: Sequence[str] | None = None,
    *,
    coverage_margin: float = COVERAGE_MARGIN,
) -> Compared:
    """Two runs, paired by prompt: differences with intervals, p and q, as ``detoxbench compare`` prints them.

    >>> import detoxbench
    >>> options = dict(samples=2, limit=2, fluency_model="none")
    >>> base = detoxbench.evaluate("mini", ["rtp_multilingual_en"], **options)
    >>> other = detoxbench.evaluate("mini", ["rtp_multilingual_en"], method="self_debias", **options)
    >>> change, = detoxbench.compare(base, other, ["expected_max_toxicity"]).changes
    >>> change.prompts, round(change.b - change.a - change.change, 6)
    (2, 0.0)

    Args:
        a, b: of ``detoxbench.evaluate``, or folders or results files of ``lm_eval --output_path … --log_samples``.
        metrics: those wanted; None for all.
        coverage_margin: largest difference of the shares of continuations that the two rest on.

    Raises:
        DetoxbenchError: for runs that are not comparable, saying what differs, or have no samples; for a metric that
            they do not have.
    """
    runs = tuple(one.run if isinstance(one, RunResult) else pairing.load_one(Path(one)) for one in (a, b))
    found = comparison.compare(*runs, metrics, coverage_margin=coverage_margin)
    for name in metrics or ():
        if name not in {change.metric for change in found.changes}:
            known = sorted({known for part in pairing.sections(*runs) for known in part.metrics})
            raise unknown("metric", name, known, "These are in the results.")
    return Compared(runs, found)
