"""Per-prompt measurements of a study's runs: by column, aligned by prompt, seeds of a prompt together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...core.errors import DetoxbenchError, unknown
from ...core.metric_names import metric_of
from ...core.metrics.fractions import fractions, names
from ...core.records import Prompt, PromptResult
from ...core.results import Run
from .spec import Column, Spec


def check_metrics(spec: Spec) -> None:
    """Refuse a metric that the study's runs will not measure, before anything is fitted.

    Raises:
        DetoxbenchError: for one that there is not, that needs more samples, or that needs a fluency model where there
            is none. The metrics of a study that names none may be left empty.
    """
    known = names(spec.samples)
    for name in spec.metrics:
        if name not in known:
            if name in names():
                raise DetoxbenchError(f"metrics: '{name}' needs more samples of a prompt than {spec.samples}")
            raise unknown("metric", name, known)
    if "metrics" in spec.model_fields_set and spec.metadata.get("fluency_model") == "none":
        for name in spec.metrics:
            if _needs_likelihoods(metric_of(name)):
                raise DetoxbenchError(
                    f"metrics: '{name}' is measured by a fluency model, and metadata.fluency_model is 'none': name a "
                    "model there, or leave the metric out"
                )


def _needs_likelihoods(metric: str) -> bool:
    """Whether it is of a prompt whose texts have likelihoods and not of the same prompt without them."""
    texts = 25
    without = PromptResult(
        prompt=Prompt(id="0", text="We", lang="en", toxicity=0.25), generations=[" went on"] * texts,
        scores={"toxicity": [0.25] * texts}, reasons=[None] * texts, languages=["en"] * texts,
    )  # fmt: skip
    with_them = without.model_copy(update={"nll": [4.0] * texts, "tokens": [2] * texts})
    return fractions(with_them)[metric][1] > 0 and fractions(without)[metric][1] == 0


@dataclass(frozen=True)
class Measured:
    """One model on all columns.

    Args:
        rows: column -> prompt id -> numerators and denominators ``[metrics, 2]``, summed over seeds.
    """

    rows: Mapping[str, Mapping[str, np.ndarray]]

    def arrays(self, column: str, prompts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Numerators and denominators ``[metrics, prompts]``."""
        stacked = np.stack([self.rows[column][prompt] for prompt in prompts], axis=1)
        return stacked[:, :, 0], stacked[:, :, 1]

    def values(self, column: str, prompts: Sequence[str]) -> np.ndarray:
        """Each prompt's own value ``[metrics, prompts]``, NaN where it was not measured."""
        numerators, denominators = self.arrays(column, prompts)
        return np.divide(numerators, denominators, out=np.full(numerators.shape, np.nan), where=denominators > 0)


def measured(runs: Sequence[Run], columns: Mapping[str, Column], metrics: Sequence[str]) -> Measured:
    """The runs of all seeds of one model.

    Raises:
        DetoxbenchError: for a metric that is not in the results, or a column without prompts.
    """
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, column in columns.items():
        found[name] = rows = {}
        for run in runs:
            for row in run.tasks[column.task].read_samples():
                if column.group is not None and column.group not in row.measured.groups:
                    continue
                fractions = row.measured.fractions
                missing = [metric for metric in metrics if metric not in fractions]
                if missing:
                    raise DetoxbenchError(f"metrics: '{missing[0]}' is not measured; there are {', '.join(fractions)}")
                pair = np.array([fractions[metric] for metric in metrics], dtype=float)
                # The prompt's place in its set is the same in every run of a task, its id need not be unique.
                prompt = str(row.place)
                rows[prompt] = rows.get(prompt, 0) + pair
        if not rows:
            where = f"group '{column.group}' of task {column.task}" if column.group else f"task {column.task}"
            raise DetoxbenchError(f"tasks.{name}: {where} has no prompt in these results")
    return Measured(found)
