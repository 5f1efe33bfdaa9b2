"""Names in results: a metric's, its bounds', and those on a subset of the prompts; each suffix stands here only."""

from __future__ import annotations

LOW, HIGH = "_ci_low", "_ci_high"
BOUNDS = (LOW, HIGH)
"""Ends of the names of a metric's interval bounds."""

TOXIC_PROMPTS, NONTOXIC_PROMPTS = "_toxic_prompts", "_nontoxic_prompts"
SUBSETS = (TOXIC_PROMPTS, NONTOXIC_PROMPTS)
"""Ends of the names of a metric on the prompts that are toxic themselves, and on the others."""

MEASURED = "measured"
"""Key in samples of everything measured of a prompt; in results, the number of prompts."""


def metric_of(name: str) -> str:
    """The metric that a name is of.

    >>> metric_of("perplexity_toxic_prompts_ci_low")
    'perplexity'
    """
    for end in (*BOUNDS, *SUBSETS):
        name = name.removesuffix(end)
    return name


def is_value(name: str) -> bool:
    """Whether it is a metric's value, on all prompts or on a subset of them: neither a bound nor a count."""
    return name != MEASURED and not name.endswith(BOUNDS)


def on_subset(name: str) -> bool:
    """Whether it is of a subset of the prompts, and so repeats the numbers of the metric itself."""
    return name.endswith(SUBSETS)
