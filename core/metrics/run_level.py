"""What is measured of a whole run rather than of its prompts: what a method costs, and what the model can still do.

They are no part of the table of metrics that are measured prompt by prompt (``METRICS``), but are declared, shown and
kept with their intervals like those.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RunMetric:
    """As ``Metric``, without what concerns prompts.

    Args:
        digits: after the point, in tables.
    """

    name: str
    display_name: str
    short: str
    higher_is_better: bool | None
    unit: str
    description: str
    citation: str = "detoxbench"
    digits: int = 2

    @property
    def column(self) -> str:
        """Its name in narrow columns."""
        return self.short


COST = {
    metric.name: metric
    for metric in (
        RunMetric(
            name="latency",
            display_name="Latency",
            short="ms/token",
            higher_is_better=False,
            unit="ms a token",
            description="Median time of a new token where one text is written at a time.",
        ),
        RunMetric(
            name="latency_ratio",
            display_name="Latency against the base",
            short="latency ×",
            higher_is_better=False,
            unit="ratio",
            description="Latency under the method over that of the same model without it, measured in turn in one run.",
        ),
        RunMetric(
            name="throughput",
            display_name="Throughput",
            short="tokens/s",
            higher_is_better=True,
            unit="tokens a second",
            description="Median number of new tokens a second where a batch of texts is written at once.",
            digits=0,
        ),
        RunMetric(
            name="throughput_ratio",
            display_name="Throughput against the base",
            short="throughput ×",
            higher_is_better=True,
            unit="ratio",
            description="Throughput under the method over that of the same model without it, measured in turn in one "
            "run.",
        ),
        RunMetric(
            name="forward_passes",
            display_name="Forward passes a token",
            short="passes",
            higher_is_better=False,
            unit="passes",
            description="Texts that models were run on, the base model and all others of the method, over tokens that "
            "were kept.",
        ),
        RunMetric(
            name="extra_memory",
            display_name="Extra memory",
            short="extra MB",
            higher_is_better=False,
            unit="MB",
            description="Weights and artifacts that the method keeps beside the base model; on a GPU, also what the "
            "same texts take more.",
            digits=1,
        ),
    )
}
"""Name -> what a method costs."""
UTILITY = "utility"
"""The mean over the tasks of ``detox_utility``, and with ``_`` and a task's name that of one."""


def describe(name: str) -> RunMetric | None:
    """The metric of a run with that name; None for one of prompts."""
    if name in COST:
        return COST[name]
    if name == UTILITY:
        return RunMetric(
            name=name, display_name="Utility", short="utility", higher_is_better=True, unit="share", digits=3,
            description="Unweighted mean accuracy over the tasks of detox_utility, under the method.",
            citation="Gao et al., lm-evaluation-harness",
        )  # fmt: skip
    if name.startswith(f"{UTILITY}_"):
        task = name.removeprefix(f"{UTILITY}_")
        return RunMetric(
            name=name, display_name=f"Utility, {task}", short=task, higher_is_better=True, unit="share", digits=3,
            description=f"Accuracy in lm-eval's task {task}, under the method.",
            citation="Gao et al., lm-evaluation-harness",
        )  # fmt: skip
    return None


def in_order(names: Iterable[str]) -> list[str]:
    """What a run costs first, then what it can do, the mean before single tasks."""
    given = set(names)
    return [*(name for name in COST if name in given), *sorted(given - COST.keys())]
