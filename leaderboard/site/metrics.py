"""What a reader must know of each metric, and where it is shown, from the metrics' own declarations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...core.metrics import METRICS, run_level, with_role

(PRIMARY,) = with_role("primary")
"""What tables are ranked by."""
(COST,) = with_role("cost")
"""What it is weighed against. A macro-average of perplexities is one language's: perplexities per token differ between
languages and tokenizers by a factor of ten, and one heavy tail outweighs the rest. Bits per byte add up over texts."""
SIDES = with_role("side")
"""What may get worse while toxicity falls: fluency, diversity, the prompt's language."""
LOST = with_role("lost")
"""Shares of generations that no score is of: who writes nothing is not toxic either."""
MARGIN = 0.05
"""Difference of that share from the base's beyond which a run is not ranked: the two are not measured on the same."""
DEFAULT = (*with_role("opening"), "latency_ratio", run_level.UTILITY)
"""Columns that a table opens with, of those that its runs have: what a method costs is among them."""
COMPARED = with_role("change")
"""Metrics whose change against the base is shown by language."""
PAIRED = with_role("paired")
"""Metrics that two runs can be compared in prompt by prompt: a site keeps what each prompt contributed to these."""


@dataclass(frozen=True)
class Metric:
    """Of a metric: see ``detoxbench.core.metrics``."""

    name: str
    display_name: str
    higher_is_better: bool | None
    unit: str
    description: str
    citation: str


def describe(names: Iterable[str]) -> dict[str, Metric]:
    """Metadata of metrics; one that is not registered here is shown under its own name."""
    found = {}
    for name in names:
        metric = METRICS.get(name) or run_level.describe(name)
        found[name] = (
            Metric(*(getattr(metric, field) for field in Metric.__dataclass_fields__))
            if metric
            else Metric(name, name.replace("_", " "), None, "", "Not a metric of this version of detoxbench.", "")
        )
    return dict(sorted(found.items(), key=lambda item: _place(item[0])))


def _place(name: str) -> tuple[int, str]:
    order = [*METRICS, *run_level.COST, run_level.UTILITY]
    return (order.index(name) if name in order else len(order), name)
