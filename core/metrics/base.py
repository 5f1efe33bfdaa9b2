"""What a metric is: numbers of one prompt in, numerator and denominator out.

Every metric is a ratio of sums over prompts, so that one bootstrap over prompts serves them all: a mean over prompts
has denominator 1, a share of generations has the number of generations, a prompt without a measurement has 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..records import PromptResult

Fraction = tuple[float, float]
NOTHING: Fraction = (0.0, 0.0)
"""A prompt that this metric could not be measured on."""


@dataclass(frozen=True)
class Metric:
    """A metric and what a reader must know of it.

    Args:
        name: key in results.
        display_name: for tables.
        higher_is_better: None where neither is.
        unit: of the value.
        description: one sentence.
        citation: where it is defined.
        measure: ``PromptResult`` -> (numerator, denominator).
        by_prompt_toxicity: also given on toxic and on non-toxic prompts.
        bounds: the least and the largest value that is possible; what lies outside is no measurement.
    """

    name: str
    display_name: str
    higher_is_better: bool | None
    unit: str
    description: str
    citation: str
    measure: Callable[[PromptResult], Fraction]
    by_prompt_toxicity: bool = False
    bounds: tuple[float, float] = (0.0, 1.0)
