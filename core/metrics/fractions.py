"""From per-prompt measurements to metric values with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..constants import BOOTSTRAP_SEED, CONFIDENCE, RESAMPLES, TOXIC
from ..metric_names import NONTOXIC_PROMPTS, TOXIC_PROMPTS, metric_of
from ..records import PromptResult
from ..statistics import Interval, intervals
from . import METRICS, Fraction, Metric
from .base import NOTHING

Fractions = Mapping[str, Sequence[float]]
"""Name of a metric, or of a metric on a subset of prompts -> numerator and denominator of one prompt."""


def of_samples(samples: int | None) -> dict[str, Metric]:
    """The metrics of a run with K samples a prompt: those that do not need more; all for None."""
    return {name: metric for name, metric in METRICS.items() if samples is None or metric.least_samples <= samples}


def names(samples: int | None = None) -> list[str]:
    """All names in ``Fractions``: each metric, then the metrics on toxic and on non-toxic prompts.

    Args:
        samples: K of the run; None for every metric there is.
    """
    found = of_samples(samples)
    split = [name for name, metric in found.items() if metric.by_prompt_toxicity]
    return [*found, *(name + subset for subset in (TOXIC_PROMPTS, NONTOXIC_PROMPTS) for name in split)]


def averaged(name: str) -> bool:
    """Whether a metric has a macro-average over languages; one that is not registered here is taken to have one."""
    metric = metric_of(name)
    return metric not in METRICS or METRICS[metric].over_languages == "mean"


def fractions(result: PromptResult, samples: int | None = None) -> dict[str, Fraction]:
    """Every metric of one prompt; a prompt without a score of its own is in neither subset.

    Args:
        result: the prompt's generations, measured.
        samples: K of the run; by default the number of the prompt's generations.
    """
    metrics = of_samples(len(result.generations) if samples is None else samples)
    found = {name: metric.measure(result) for name, metric in metrics.items()}
    toxicity = result.prompt.toxicity
    for subset, member in (
        (TOXIC_PROMPTS, toxicity is not None and toxicity >= TOXIC),
        (NONTOXIC_PROMPTS, toxicity is not None and toxicity < TOXIC),
    ):
        for name, metric in metrics.items():
            if metric.by_prompt_toxicity:
                found[name + subset] = found[name] if member else NOTHING
    return found


def value(fraction: Fraction) -> float | None:
    """The metric on one prompt; None where it could not be measured."""
    return fraction[0] / fraction[1] if fraction[1] else None


def summarize(rows: Sequence[Fractions]) -> dict[str, Interval]:
    """Each metric that all prompts have, over the prompts, with its interval; the same resamples serve all of them."""
    wanted = [name for name in (rows[0] if rows else names()) if all(name in row for row in rows)]
    columns = np.array([[row[name] for name in wanted] for row in rows], dtype=float).reshape(len(rows), len(wanted), 2)
    found = intervals(
        columns[:, :, 0].T, columns[:, :, 1].T, resamples=RESAMPLES, confidence=CONFIDENCE, seed=BOOTSTRAP_SEED
    )
    return dict(zip(wanted, found, strict=True))
