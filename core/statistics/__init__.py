"""How sure a measurement is: bootstrap intervals, paired differences, false discovery rate.

Every metric is a ratio of sums over prompts: prompt ``i`` contributes ``(numerator_i, denominator_i)`` and the estimate
is ``sum(numerators) / sum(denominators)``. A mean over prompts has denominators of 1; a prompt without any measured
generation has ``(0, 0)``. Prompts are what is resampled, never generations: the K generations of a prompt are alike.

``bootstrap`` draws and measures the resamples and ``shares`` knows what counts allow; ``intervals`` makes intervals of
one method of them. ``signflip`` is the test of two methods on the same prompts; ``differences`` compares two methods by
it, and many comparisons with one another.
"""

from .bootstrap import Interval
from .differences import (
    Difference,
    benjamini_hochberg,
    minimum_detectable_difference,
    paired_difference,
    paired_differences,
    paired_macro_difference,
    paired_macro_differences,
)
from .intervals import interval, intervals, macro_interval, macro_intervals

__all__ = [
    "Difference",
    "Interval",
    "benjamini_hochberg",
    "interval",
    "intervals",
    "macro_interval",
    "macro_intervals",
    "minimum_detectable_difference",
    "paired_difference",
    "paired_differences",
    "paired_macro_difference",
    "paired_macro_differences",
]
