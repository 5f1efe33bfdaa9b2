"""The sign-flip test and its interval against all sign vectors, known tests and their own duality."""

import itertools
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from detoxbench.core.statistics import paired_difference, paired_differences, paired_macro_difference, signflip


def brute(z):
    """P(sum of z with random signs >= sum of z), by all sign vectors."""
    sums = np.array([np.dot(signs, z) for signs in itertools.product((1, -1), repeat=len(z))])
    return np.mean(sums >= z.sum() - 1e-12)


@pytest.mark.parametrize("prompts", [1, 2, 5, 12])
def test_few_prompts_are_counted(prompts):
    z = np.random.default_rng(prompts).normal(0.3, 1, (5, prompts))
    assert_allclose(signflip.tail(z), [brute(row) for row in z])


@pytest.mark.parametrize("spread", [0.5, 1.5])
def test_the_saddlepoint_is_near_the_count(spread):
    rng = np.random.default_rng(4)
    z = rng.lognormal(0, spread, (20, 14)) * rng.choice([-1, 1, 1, 1], (20, 14))
    exact = np.array([brute(row) for row in z])
    decisive = exact < 0.05  # in the middle of so few and so unequal scores the sum is hardly continuous
    assert_allclose(signflip.tail(z)[decisive], exact[decisive], rtol=0.25)


def test_changes_of_one_size_are_mcnemars_test():
    z = np.array([[1.0] * 30 + [-1.0] * 10 + [0.0] * 60])
    assert_allclose(signflip.tail(z), stats.binom.sf(29, 40, 0.5))
    zeros, ones = np.zeros(100), np.ones(100)
    found = paired_difference(np.where(z[0] < 0, 1, 0), ones, np.where(z[0] > 0, 1, 0), ones)
    assert_allclose(found.p_value, stats.binomtest(30, 40).pvalue)
    assert paired_difference(zeros, ones, zeros, ones).p_value == 1


def test_the_far_tail_is_as_far_as_it_can_be():
    """All prompts one way: 2^-n, which no resampling sees."""
    rise = np.random.default_rng(0).uniform(0.2, 0.4, 40)
    found = paired_difference(np.zeros(40), np.ones(40), rise, np.ones(40))
    assert_allclose(found.p_above, 2.0**-40)
    assert found.p_below == pytest.approx(1)
    three = paired_difference(np.zeros(3), np.ones(3), rise[:3], np.ones(3))
    assert (three.p_value, three.interval.method) == (0.25, "degenerate")
    assert math.isnan(three.interval.low)


def test_it_is_near_the_t_test_on_many_prompts():
    shift = np.random.default_rng(1).normal(0.02, 0.1, 300)
    found = paired_difference(np.zeros(300), np.ones(300), shift, np.ones(300))
    reference = stats.ttest_1samp(shift, 0)
    assert_allclose(found.p_value, reference.pvalue, rtol=0.1)
    assert_allclose([found.interval.low, found.interval.high], list(reference.confidence_interval()), atol=2e-4)
    assert_allclose(found.standard_error, stats.sem(shift))


@pytest.mark.parametrize("prompts", [8, 12, 13, 40])
@pytest.mark.parametrize("seed", range(4))
def test_the_interval_ends_where_the_test_stops_rejecting(prompts, seed):
    rng = np.random.default_rng([seed, prompts])
    d_a, d_b = (rng.integers(1, 26, prompts).astype(float) for _ in range(2))
    n_a, n_b = d_a * rng.lognormal(0, 1, prompts), d_b * rng.lognormal(0.3, 1, prompts)
    found = paired_difference(n_a, d_a, n_b, d_b).interval
    assert_allclose(found.value, n_b.sum() / d_b.sum() - n_a.sum() / d_a.sum())
    width = found.high - found.low
    for inside, bound in ((1, found.low), (-1, found.high)):
        for step, significant in ((1e-4, False), (-1e-4, True)):
            shift = bound + inside * step * width
            moved = paired_difference(n_a + shift * d_a, d_a, n_b, d_b)
            assert moved.significant == significant


def test_bounds_of_few_prompts_are_ordered_subset_means():
    change = np.array([1.1, 1.2, 1.4, 1.8, 2.6, 4.2])
    found = paired_difference(np.zeros(6), np.ones(6), change, np.ones(6))
    # 2^-6 is below 0.025 and 2/64 is not: the smallest and the largest of the 63 means.
    assert_allclose([found.interval.low, found.interval.high], [1.1, 4.2])
    assert_allclose(found.p_value, 2 / 64)


def test_one_language_weighs_as_much_as_another():
    rng = np.random.default_rng(2)
    groups = [
        (np.zeros(n), np.ones(n), rng.normal(mean, 0.1, n), np.ones(n))
        for n, mean in ((10, 0.5), (200, -0.1), (40, 0.2))
    ]
    found = paired_macro_difference(groups)
    means = [group[2].mean() for group in groups]
    assert_allclose(found.interval.value, np.mean(means))
    # Languages differ, which is no uncertainty of their mean.
    assert_allclose(found.standard_error, math.sqrt(sum(stats.sem(group[2]) ** 2 for group in groups)) / 3)
    reach = 1.96 * found.standard_error
    assert_allclose(
        [found.interval.low, found.interval.high], [np.mean(means) - reach, np.mean(means) + reach], rtol=0.05
    )


@pytest.mark.parametrize("prompts", [6, 10, 20, 200])
@pytest.mark.parametrize("shape", ["skewed", "heavy", "ratio"])
def test_it_finds_a_difference_of_none_in_5_per_cent(prompts, shape):
    rng = np.random.default_rng(prompts)
    size = (600, prompts)
    level = rng.lognormal(0, 0.5, size)
    draw = {"skewed": lambda: rng.beta(1, 4, size), "heavy": lambda: level * rng.lognormal(0, 1.5, size),
            "ratio": lambda: level * rng.lognormal(0, 1, size)}[shape]  # fmt: skip
    weights = [rng.integers(1, 26, size).astype(float) if shape == "ratio" else np.ones(size) for _ in range(2)]
    found = paired_differences(draw() * weights[0], weights[0], draw() * weights[1], weights[1])
    share = np.mean([one.significant for one in found])
    assert share <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 600)
