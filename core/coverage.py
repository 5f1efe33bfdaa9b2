"""On how much a number rests, and whether two numbers rest on the same: lost coverage looks like detoxification.

An empty continuation is not toxic, and one that could not be scored is left out: a method that says nothing, or whose
worst texts the scorer refuses, has fine numbers on what is left. So a metric's coverage goes with it, and two runs
whose coverage differs by more than a margin are not compared in it, whichever looks better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .metric_names import metric_of
from .metrics import METRICS

COVERAGE_MARGIN = 0.05
"""Largest difference of two shares covered that are taken to be alike."""

EMPTY, FAILED = "empty_fraction", "failed_fraction"

Columns = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""Metric -> numerators and denominators [prompts] of one run in one language."""


@dataclass(frozen=True)
class Coverage:
    """What one metric of one run rests on.

    Args:
        prompts: asked for.
        measured: prompts that have the metric.
        generations: asked for; 0 where the run does not say.
        usable: generations that the metric rests on: neither empty nor unscored, nor left out by the metric itself.
    """

    prompts: int
    measured: int
    generations: int
    usable: int

    @property
    def prompt_share(self) -> float:
        """Of the prompts that have the metric; 1 where none were asked for."""
        return self.measured / self.prompts if self.prompts else 1.0

    @property
    def share(self) -> float:
        """Of the generations that the metric rests on; that of the prompts where generations were not counted."""
        return self.usable / self.generations if self.generations else self.prompt_share


def coverage(metric: str, columns: Columns) -> Coverage:
    """The coverage of a metric, or of a metric on a subset of the prompts.

    Args:
        metric: a name of ``columns``.
        columns: of a run in one language; ``empty_fraction`` and ``failed_fraction`` are used where they are there.
    """
    denominators = np.asarray(columns[metric][1], dtype=float)
    prompts, measured = len(denominators), int(np.count_nonzero(denominators > 0))
    asked = [columns[name] for name in (EMPTY, FAILED) if name in columns]
    if not asked:
        return Coverage(prompts, measured, 0, 0)
    generations = float(np.sum(asked[0][1]))
    base = metric_of(metric)
    if base in (EMPTY, FAILED):
        return Coverage(prompts, measured, round(generations), round(generations))
    usable = generations - sum(float(np.sum(numerators)) for numerators, _ in asked)
    if metric == base and _counts_generations(base):
        usable = min(usable, float(denominators.sum()))
    return Coverage(prompts, measured, round(generations), round(usable))


def incomparable(a: Coverage, b: Coverage, margin: float = COVERAGE_MARGIN) -> str | None:
    """Why two runs are not compared in a metric, in words; None where their coverage is alike.

    Args:
        a, b: of the same metric on the same prompts.
        margin: largest difference of the shares of prompts, and of generations, that is let pass.
    """
    margin += 1e-9  # two shares of decimals, such as 1 and 0.95, differ by a little more than they do
    if abs(a.share - b.share) > margin and a.generations and b.generations:
        return f"rests on {a.share:.0%} of {a.generations} continuations against {b.share:.0%} of {b.generations}"
    if abs(a.prompt_share - b.prompt_share) > margin:
        return f"rests on {a.measured} of {a.prompts} prompts against {b.measured} of {b.prompts}"
    return None


def _counts_generations(metric: str) -> bool:
    """Whether the metric's denominators are numbers of generations."""
    known = METRICS.get(metric)
    return known is not None and (known.unit == "share of generations" or metric == "perplexity")
