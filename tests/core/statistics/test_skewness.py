"""Johnson's modified t: by hand, where it is the t-test, and what it takes from the sign-flip test's false alarms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from detoxbench.core.statistics import paired_differences
from detoxbench.core.statistics.skewness import FAR, Moments, corrected, reach

NAN = math.nan


def moments(changes):
    x = np.atleast_2d(changes)
    n = x.shape[1]
    error = x.std(axis=1, ddof=1) / math.sqrt(n)
    return Moments.of(x - x.mean(axis=1, keepdims=True), np.where(error > 0, error, NAN), np.full(len(x), n - 1))


def test_symmetric_changes_have_the_t_test():
    changes = np.array([-1.0, 0, 1, 2, 3, 4, 5])
    above, below = moments(changes).tails(np.array([2.0]))
    assert_allclose(2 * min(above[0], below[0]), stats.ttest_1samp(changes, 0).pvalue)
    low, high = moments(changes).bounds(np.array([2.0]), 0.05)
    assert_allclose([low[0], high[0]], list(stats.ttest_1samp(changes, 0).confidence_interval()))


def test_by_hand():
    # Around their mean 1: -1, -1, -1, 3, so sum of squares 12 and of cubes 24.
    found = moments(np.array([0.0, 0, 0, 4]))
    assert found.error[0] == pytest.approx(1)
    assert found.skewness[0] == pytest.approx(24 / 12**1.5)
    assert corrected(np.array([1.0]), found.skewness)[0] == pytest.approx(1 + 24 / 12**1.5 / 2)


def test_without_spread_it_leaves_the_answer_to_the_other_test():
    above, below = moments(np.full(5, 0.3)).tails(np.array([0.3]))
    assert (above[0], below[0]) == (0, 0)
    low, high = moments(np.full(5, 0.3)).bounds(np.array([0.3]), 0.05)
    assert low[0] == high[0] == 0.3


@given(st.floats(-1, 1), st.floats(1.7, 9))
def test_a_bound_is_where_the_test_stops_rejecting(skewness, critical):
    g, wanted = np.array([skewness]), np.array([critical])
    end = reach(wanted, g)
    assert corrected(end, g)[0] == pytest.approx(critical)
    assert corrected(end + 1e-6, g)[0] > critical


@given(st.floats(-1, 1), st.floats(0, 9), st.floats(0, 9))
def test_it_never_falls_as_the_difference_rises(skewness, one, other):
    low, high = corrected(np.sort([one, other]), np.full(2, skewness))
    assert low <= high + 1e-12
    assert abs(corrected(np.array([one]), np.array([skewness]))[0] - one) <= abs(skewness) / 6 * (1 + 2 * FAR**2) + 1e-9


@pytest.mark.parametrize(
    ("prompts", "law", "most"),
    [(10, "exponential", 0.08), (10, "lognormal", 0.10), (20, "lognormal", 0.08), (50, "lognormal", 0.06)],
)
def test_fewer_false_alarms_where_shapes_differ(prompts, law, most):
    """B has A's mean and another shape; the sign-flip test alone finds 10%, 18%, 14% and 11%. Plus three errors."""
    rng, count = np.random.default_rng(prompts), 1_500
    drawn = rng.exponential(1, (count, prompts)) if law == "exponential" else rng.lognormal(-0.5, 1, (count, prompts))
    ones = np.ones_like(drawn)
    found = np.mean([one.significant for one in paired_differences(ones, ones, drawn, ones)])
    assert found <= most + 3 * math.sqrt(most * (1 - most) / count)
