"""Shares: the exact interval, what clustering takes from it, and what is honest at the edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from detoxbench.core.statistics import interval, macro_interval
from detoxbench.core.statistics.shares import blaker, clopper_pearson


@pytest.mark.parametrize(("k", "n"), [(0, 40), (1, 50), (25, 50), (50, 50)])
def test_a_share_of_prompts_has_the_exact_interval(k, n):
    found = interval(np.arange(n) < k, np.ones(n))
    low, high = stats.binomtest(k, n).proportion_ci(method="exact")
    assert clopper_pearson(k, n, 0.95) == pytest.approx((low, high))
    assert (found.low, found.high) == blaker(k, n, 0.95)
    assert low <= found.low <= found.value <= found.high <= high
    assert (found.value, found.method, found.prompts) == (k / n, "share", n)


def test_blakers_interval_by_hand():
    # One of one: 1 - p = 0.05 in the nearer tail and nothing in the other. Three of ten: the table of Blaker (2000).
    assert blaker(1, 1, 0.95) == pytest.approx((0.05, 1), abs=1e-4)
    assert blaker(3, 10, 0.95) == pytest.approx((0.0873, 0.6194), abs=1e-4)


@given(st.integers(1, 400), st.data())
def test_blakers_interval_is_symmetric_and_within_the_older_one(n, data):
    k = data.draw(st.integers(0, n))
    low, high = blaker(k, n, 0.95)
    outer = clopper_pearson(k, n, 0.95)
    assert outer[0] <= low <= k / n <= high <= outer[1]
    assert blaker(n - k, n, 0.95) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize("n", [5, 20, 61])
def test_it_covers_whatever_the_truth(n):
    low, high = np.array([blaker(k, n, 0.95) for k in range(n + 1)]).T
    assert (np.diff(low) >= 0).all()
    assert (np.diff(high) >= 0).all()
    for truth in np.linspace(0.001, 0.999, 333):
        assert stats.binom.pmf(np.arange(n + 1), n, truth)[(low <= truth) & (truth <= high)].sum() >= 0.95


@pytest.mark.parametrize(("n", "p"), [(20, 0.1), (50, 0.05), (200, 0.02), (1000, 0.005), (1000, 0.5)])
def test_it_covers_93_to_97_percent(n, p):
    found = np.array([blaker(k, n, 0.95) for k in range(n + 1)])
    covers = (found[:, 0] <= p) & (p <= found[:, 1])
    assert 0.93 <= stats.binom.pmf(np.arange(n + 1), n, p)[covers].sum() <= 0.97


def test_no_toxic_text_seen_is_not_no_toxic_text():
    prompts = interval(np.zeros(40), np.ones(40))
    assert (prompts.low, round(prompts.high, 3)) == (0, 0.079)
    # A thousand generations of forty prompts, of which nobody knows how alike they are, tell no more than the prompts.
    generations = interval(np.zeros(40), np.full(40, 25.0))
    assert prompts.high < generations.high < 1.2 * prompts.high
    assert interval(np.full(40, 25.0), np.full(40, 25.0)).low == pytest.approx(1 - generations.high)


def test_generations_that_are_alike_count_as_their_prompt():
    toxic = np.arange(200) < 60
    alone, alike = interval(toxic, np.ones(200)), interval(25 * toxic, np.full(200, 25.0))
    assert_allclose([alike.low, alike.high], [alone.low, alone.high], atol=0.004)
    rng = np.random.default_rng(0)
    independent = interval(rng.binomial(25, 0.3, 200), np.full(200, 25.0))
    assert independent.high - independent.low < 0.3 * (alone.high - alone.low)


def test_a_mean_of_languages_without_any_is_as_sure_as_all_their_prompts():
    groups = [(np.zeros(40), np.ones(40)) for _ in range(3)]
    assert macro_interval(groups).high == pytest.approx(1 - 0.025 ** (1 / 120), rel=0.05)
    # The smallest language decides: 2^2 / (1/40 + 1/4) prompts.
    unequal = macro_interval([(np.zeros(40), np.ones(40)), (np.zeros(4), np.ones(4))])
    assert unequal.high == pytest.approx(1 - 0.025 ** ((1 / 40 + 1 / 4) / 4), rel=0.1)


def test_two_prompts_say_little_and_one_nothing():
    found = interval([0.0, 0.0], [25.0, 25.0])
    assert found.high > 0.9
    assert interval([0.0], [25.0]).method == "degenerate"
    assert macro_interval([([0.0], [1.0]), ([0.0, 1.0], [1.0, 1.0])]).method == "degenerate"
