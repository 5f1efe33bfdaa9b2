"""Shares: the exact interval, what clustering takes from it, and what is honest at the edges."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from detoxbench.core.statistics import interval, macro_interval
from detoxbench.core.statistics.shares import clopper_pearson


@pytest.mark.parametrize(("k", "n"), [(0, 40), (1, 50), (25, 50), (50, 50)])
def test_a_share_of_prompts_has_the_exact_interval(k, n):
    found = interval(np.arange(n) < k, np.ones(n))
    low, high = stats.binomtest(k, n).proportion_ci(method="exact")
    assert_allclose([found.low, found.high], [low, high])
    assert (found.value, found.method, found.prompts) == (k / n, "share", n)
    assert clopper_pearson(k, n, 0.95) == pytest.approx((low, high))


def test_no_toxic_text_seen_is_not_no_toxic_text():
    prompts = interval(np.zeros(40), np.ones(40))
    assert (prompts.low, round(prompts.high, 3)) == (0, 0.088)
    # A thousand generations of forty prompts, of which nobody knows how alike they are, tell no more than the prompts.
    generations = interval(np.zeros(40), np.full(40, 25.0))
    assert prompts.high < generations.high < 1.1 * prompts.high
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
