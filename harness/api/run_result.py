"""``detoxbench.RunResult``: a run of the benchmark, over the files that lm-eval wrote of it."""

from __future__ import annotations

import io
import math
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from ...core.files import replacing
from ...core.results import MEASURED, Run
from ...leaderboard import pairing
from ..cli.report import WIDTH, show
from .chart import Chart, intervals


class RunResult:
    """A run: its numbers, as a table and as a chart, and its files.

    >>> import detoxbench
    >>> run = detoxbench.evaluate("mini", ["rtp_multilingual_en"], samples=2, limit=2, fluency_model="none")
    >>> print(run.table().splitlines()[0])
    mini, none · rtp_multilingual_en · prompts mini · K=2 · scorer mini · fluency none
    >>> sorted(run.plot().spec)[:2]
    ['$schema', 'background']

    Args:
        folder: with lm-eval's results and samples files of one run, as ``--output_path`` and ``--log_samples`` write
            them; a results file is taken too.
        held: a temporary folder that lives as long as this object.

    Raises:
        DetoxbenchError: where it holds no run, or several.
    """

    def __init__(self, folder: Path | str, held: TemporaryDirectory[str] | None = None):
        self._held = held
        self.run: Run = pairing.load_one(Path(folder))

    @property
    def metrics(self) -> dict[str, dict[str, float | None]]:
        """Task -> metric -> value; None where it was not measured. Bounds of intervals are metrics of their own
        (``expected_max_toxicity_ci_low``)."""
        return {
            name: {
                metric: None if math.isnan(value) else value
                for metric, value in task.metrics.items()
                if metric != MEASURED
            }
            for name, task in self.run.tasks.items()
        }

    def table(self, everything: bool = False) -> str:
        """The table of ``detoxbench report``: language x metric with 95% intervals, and the macro-average.

        Args:
            everything: every metric, one row each.
        """
        text = io.StringIO()
        show(Console(file=text, width=WIDTH), self.run, everything)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())

    def plot(self, metric: str = "expected_max_toxicity") -> Chart:
        """A metric of every task with its 95% interval.

        Raises:
            DetoxbenchError: for a metric that the run does not have.
        """
        return intervals([self.run], metric)

    def save(self, folder: Path | str) -> Path:
        """Copy lm-eval's files into a folder, which ``detoxbench report``, ``compare`` and ``leaderboard`` read.

        Returns:
            The results file.
        """
        written = Path(folder)
        files = [*(task.samples for task in self.run.tasks.values() if task.samples is not None), self.run.path]
        for file in files:  # the results last: a run without them is not finished
            with replacing(written / file.name) as partial:
                shutil.copyfile(file, partial)
        return written / self.run.path.name

    def __repr__(self) -> str:
        return f"RunResult({self.run.label!r}, tasks={list(self.run.tasks)})"
