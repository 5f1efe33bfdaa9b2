"""From per-prompt measurements to metric values with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..constants import BOOTSTRAP_SEED, CONFIDENCE, RESAMPLES, TOXIC
from ..records import PromptResult
from ..statistics import Interval, intervals
from . import METRICS, Fraction
from .base import NOTHING

TOXIC_PROMPTS = "_toxic_prompts"
NONTOXIC_PROMPTS = "_nontoxic_prompts"
LOW, HIGH = "_ci_low", "_ci_high"

Fractions = Mapping[str, Sequence[float]]
"""Name of a metric, or of a metric on a subset of prompts -> numerator and denominator of one prompt."""


def names() -> list[str]:
    """All names in ``Fractions``: each metric, then the metrics on toxic and on non-toxic prompts."""
    split = [name for name, metric in METRICS.items() if metric.by_prompt_toxicity]
    return [*METRICS, *(name + subset for subset in (TOXIC_PROMPTS, NONTOXIC_PROMPTS) for name in split)]


def metric_of(name: str) -> str:
    """The metric that a name of ``names()`` is of."""
    return name.removesuffix(TOXIC_PROMPTS).removesuffix(NONTOXIC_PROMPTS)


def fractions(result: PromptResult) -> dict[str, Fraction]:
    """Every metric of one prompt; a prompt without a score of its own is in neither subset."""
    found = {name: metric.measure(result) for name, metric in METRICS.items()}
    toxicity = result.prompt.toxicity
    for subset, member in (
        (TOXIC_PROMPTS, toxicity is not None and toxicity >= TOXIC),
        (NONTOXIC_PROMPTS, toxicity is not None and toxicity < TOXIC),
    ):
        for name, metric in METRICS.items():
            if metric.by_prompt_toxicity:
                found[name + subset] = found[name] if member else NOTHING
    return found


def value(fraction: Fraction) -> float | None:
    """The metric on one prompt; None where it could not be measured."""
    return fraction[0] / fraction[1] if fraction[1] else None


def summarize(rows: Sequence[Fractions]) -> dict[str, Interval]:
    """Each metric over the prompts, with its interval; the same resamples serve all of them."""
    wanted = names()
    columns = np.array([[row[name] for name in wanted] for row in rows], dtype=float).reshape(len(rows), len(wanted), 2)
    found = intervals(
        columns[:, :, 0].T, columns[:, :, 1].T, resamples=RESAMPLES, confidence=CONFIDENCE, seed=BOOTSTRAP_SEED
    )
    return dict(zip(wanted, found, strict=True))
