"""What no statistic can be made of is refused, with what was given and what is allowed."""

import math

import numpy as np
import pytest

from detoxbench.core.statistics import (
    benjamini_hochberg,
    interval,
    intervals,
    macro_intervals,
    minimum_detectable_difference,
    paired_difference,
    paired_differences,
    paired_macro_differences,
)


@pytest.mark.parametrize(
    ("numerators", "denominators", "says"),
    [
        ([1.0, math.nan], [1.0, 1.0], r"numerators must be finite, given nan at \[1\].*numerator 0 and denominator 0"),
        ([1.0, 1.0], [1.0, math.inf], r"denominators must be finite, given inf at \[1\]"),
        ([1.0, 1.0], [1.0], r"one shape, given \(1, 2\) and \(1, 1\)"),
        ([[1.0]], [[1.0]], r"\[prompts\], given the shape \(1, 1\)"),
        ([1.0], [-1.0], "at least 0, given -1.0"),
        ([1.0, 2.0], [1.0, 0.0], "needs a numerator of 0, given 2.0"),
    ],
)
def test_measurements_that_are_none(numerators, denominators, says):
    with pytest.raises(ValueError, match=says):
        interval(numerators, denominators)
    with pytest.raises(ValueError, match=says):
        paired_difference([1.0], [1.0], numerators, denominators)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"resamples": 1}, "resamples must be an integer of at least 2, given 1"),
        ({"resamples": 1e4}, "resamples must be an integer"),
        ({"seed": -1}, "seed must be an integer of at least 0, given -1"),
        ({"seed": None}, "seed must be an integer"),
        ({"confidence": 95}, "between 0 and 1, such as 0.95, given 95"),
    ],
)
def test_options_out_of_range(options, says):
    with pytest.raises(ValueError, match=says):
        interval([1.0], [1.0], **options)


def test_groups_and_pairs_that_do_not_match():
    one, two = np.ones((1, 3)), np.ones((2, 3))
    with pytest.raises(ValueError, match="at least one group of prompts, given none"):
        macro_intervals([])
    with pytest.raises(ValueError, match=r"same metrics, given groups with \[1, 2\]"):
        paired_macro_differences([(one, one, one, one), (two, two, two, two)])
    with pytest.raises(ValueError, match=r"same prompts, given \(1, 3\) and \(1, 4\).*align"):
        paired_differences(one, one, np.ones((1, 4)), np.ones((1, 4)))
    with pytest.raises(ValueError, match=r"\[metrics, prompts\], given the shape \(3,\)"):
        intervals(np.ones(3), np.ones(3))


def test_p_values_rates_and_errors_out_of_range():
    with pytest.raises(ValueError, match=r"given 1\.5"):
        benjamini_hochberg([0.1, 1.5])
    with pytest.raises(ValueError, match=r"shape \(1, 1\)"):
        benjamini_hochberg([[0.1]])
    with pytest.raises(ValueError, match="q must be"):
        benjamini_hochberg([0.1], q=5)
    with pytest.raises(ValueError, match="at least 0, given -1"):
        minimum_detectable_difference(-1)
    with pytest.raises(ValueError, match="power must be"):
        minimum_detectable_difference(1, power=80)
