"""Intervals, paired differences and false discovery rate, against known answers and scipy."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from detoxbench.core.statistics import (
    Interval,
    benjamini_hochberg,
    interval,
    intervals,
    macro_interval,
    macro_intervals,
    minimum_detectable_difference,
    paired_difference,
    paired_macro_difference,
)
from detoxbench.core.statistics import bootstrap as core

FEW = {"resamples": 300}
"""Enough where only symmetry is tested: both sides see the same resamples."""


def ratio(numerators, denominators, axis=-1):
    return numerators.sum(axis=axis) / denominators.sum(axis=axis)


def perplexities(rng, prompts=15):
    """Skewed numerators with unequal denominators, as of perplexity over the generations that count."""
    denominators = rng.integers(5, 26, prompts).astype(float)
    return denominators * rng.lognormal(3, 0.8, prompts), denominators


def bounds(found):
    return [found.low, found.high]


# Identity


def test_the_mean_of_ones_is_one():
    found = interval(np.ones(7), np.ones(7))
    assert found == Interval(1.0, found.low, 1.0, "share", 7, 0, 0.95)
    # Seven Bernoulli trials without a failure; of the counts no likelier at that share, none and one are the others.
    p, q = found.low, 1 - found.low
    assert p**7 + q**7 + 7 * p * q**6 == pytest.approx(0.05, abs=1e-4)


def test_a_method_does_not_differ_from_itself():
    numerators, denominators = perplexities(np.random.default_rng(0))
    found = paired_difference(numerators, denominators, numerators, denominators)
    assert (found.interval.value, *bounds(found.interval)) == (0, 0, 0)
    assert found.interval.method == "degenerate"
    assert found.p_value == 1
    assert not found.significant
    assert math.isnan(found.minimum_detectable)


def test_one_group_is_its_own_macro_average():
    data = perplexities(np.random.default_rng(1))
    assert macro_interval([data], **FEW) == interval(*data, **FEW)
    pair = (*data, *perplexities(np.random.default_rng(2)))
    assert paired_macro_difference([pair]) == paired_difference(*pair)


def test_the_same_seed_gives_the_same_interval_and_another_seed_nearly_so():
    data = perplexities(np.random.default_rng(3))
    assert interval(*data, seed=1) == interval(*data, seed=1)
    other = interval(*data, seed=2)
    assert other != interval(*data, seed=1)
    assert_allclose(bounds(other), bounds(interval(*data, seed=1)), rtol=0.05)


def test_what_a_metric_gets_does_not_depend_on_the_others():
    rng = np.random.default_rng(4)
    metrics = [perplexities(rng) for _ in range(3)]
    together = intervals(*np.swapaxes(metrics, 0, 1), **FEW)
    for found, data in zip(together, metrics, strict=True):
        alone = interval(*data, **FEW)
        assert_allclose([found.value, *bounds(found)], [alone.value, *bounds(alone)], rtol=1e-12)


def test_chunks_do_not_change_the_resamples(monkeypatch):
    data = perplexities(np.random.default_rng(5))
    whole = interval(*data, **FEW)
    monkeypatch.setattr(core, "CHUNK", 40)
    assert_allclose(bounds(interval(*data, **FEW)), bounds(whole), rtol=1e-12)


# Computed by hand or by others


def test_acceleration_of_a_mean_is_a_sixth_of_its_skewness():
    values = np.array([0.0, 1.0, 5.0])
    centred = values - 2
    expected = (centred**3).sum() / (6 * (centred**2).sum() ** 1.5)
    found = core.jackknife([np.stack([values, np.ones(3)])[None]])
    assert_allclose(found.acceleration, expected)
    assert not found.constant[0]
    assert_allclose([found.expansion[0], found.freedom[0]], [math.sqrt(3 / 2), 2])


def test_influences_are_those_of_leaving_each_prompt_out():
    numerators, denominators = perplexities(np.random.default_rng(6), prompts=6)
    change, _ = core.influences(np.stack([numerators, denominators])[None])
    left_out = [ratio(np.delete(numerators, i), np.delete(denominators, i)) for i in range(6)]
    assert_allclose(change[0], np.array(left_out) - ratio(numerators, denominators), rtol=1e-9)


def test_bca_tails_against_the_formula_at_one_point():
    # Phi(0.2 + (0.2 - 1.959964) / (1 - 0.1 (0.2 - 1.959964))) = Phi(-1.296573), and Phi(2.955043) with + 1.959964.
    low, high = core.bca_tails(0.2, 0.1, (0.025, 0.975))
    assert_allclose([low, high], [0.097389, 0.998437], atol=1e-6)


@pytest.mark.parametrize(("bias", "acceleration"), [(math.inf, 0.1), (-math.inf, 0.1), (0.1, math.nan), (0.0, 0.6)])
def test_bca_is_undefined_where_its_correction_is(bias, acceleration):
    assert core.bca_tails(bias, acceleration, (0.025, 0.975)) is None


def expanded(values: np.ndarray) -> float:
    """The confidence of scipy's unexpanded BCa interval that has the tails of our 95%."""
    n = len(values)
    return 2 * stats.norm.cdf(math.sqrt(n / (n - 1)) * stats.t.isf(0.025, n - 1)) - 1


@pytest.mark.parametrize("prompts", [6, 8, 15])
@pytest.mark.parametrize("seed", [0, 1])
def test_ratio_agrees_with_scipy_at_the_expanded_tails(prompts, seed):
    data = perplexities(np.random.default_rng(seed), prompts)
    level = expanded(data[0])
    reference = stats.bootstrap(
        data, ratio, paired=True, n_resamples=50_000, method="BCa", rng=7, confidence_level=level
    )
    found = interval(*data, resamples=50_000)
    assert found.method == "bca"
    assert_allclose(found.value, ratio(*data))
    low, high = reference.confidence_interval
    assert_allclose(bounds(found), [low, high], atol=0.06 * (high - low))


def test_ties_with_the_estimate_count_half_as_in_scipy():
    halves = 0.5 * np.array([1.0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0])
    level = expanded(halves)
    reference = stats.bootstrap(
        (halves,), np.mean, n_resamples=50_000, method="BCa", rng=7, confidence_level=level
    ).confidence_interval
    assert_allclose(bounds(interval(halves, np.ones(12), resamples=50_000)), list(reference), atol=1e-9)


def test_macro_average_agrees_with_scipy():
    rng = np.random.default_rng(8)
    groups = [rng.lognormal(0, 1, 40), rng.lognormal(1, 0.5, 60), rng.lognormal(0, 0.7, 50)]

    def mean_of_means(*samples, axis=-1):
        return sum(sample.mean(axis=axis) for sample in samples) / len(samples)

    variances = np.array([group.var(ddof=1) / len(group) for group in groups])
    freedom = variances.sum() ** 2 / (variances**2 / np.array([39, 59, 49])).sum()
    biased = sum(group.var() / len(group) for group in groups)
    level = 2 * stats.norm.cdf(math.sqrt(variances.sum() / biased) * stats.t.isf(0.025, freedom)) - 1
    reference = stats.bootstrap(groups, mean_of_means, n_resamples=50_000, method="BCa", rng=7, confidence_level=level)
    found = macro_interval([(group, np.ones(len(group))) for group in groups], resamples=50_000)
    low, high = reference.confidence_interval
    assert_allclose(found.value, mean_of_means(*groups))
    assert found.prompts == 150
    assert_allclose(bounds(found), [low, high], atol=0.03 * (high - low))


def test_p_value_is_near_that_of_the_t_test_where_both_hold():
    rng = np.random.default_rng(10)
    a, shift = rng.normal(0.3, 0.1, 400), rng.normal(0.01, 0.1, 400)
    found = paired_difference(a, np.ones(400), a + shift, np.ones(400))
    assert_allclose(found.p_value, stats.ttest_rel(a, a + shift).pvalue, atol=0.01)
    assert_allclose(found.standard_error, shift.std() / 20, rtol=0.05)
    assert_allclose(found.minimum_detectable, 2.801585 * found.standard_error, rtol=1e-6)


def test_a_prompt_measured_by_one_method_only_is_left_out_of_both():
    num_a, den_a = np.array([1.0, 2, 3, 9, 4]), np.array([1.0, 1, 1, 1, 1])
    num_b, den_b = np.array([2.0, 2, 5, 0, 4]), np.array([1.0, 1, 1, 0, 1])
    found = paired_difference(num_a, den_a, num_b, den_b).interval
    assert found.prompts == 4
    assert found.value == pytest.approx(3 / 4)


def test_benjamini_hochberg_by_hand():
    p = [0.01, 0.04, math.nan, 0.03, 0.005, 0.5]
    # Sorted 0.005 0.01 0.03 0.04 0.5, times 5/rank: 0.025 0.025 0.05 0.05 0.5; already monotone.
    adjusted, rejected = benjamini_hochberg(p, q=0.05)
    assert_allclose(adjusted, [0.025, 0.05, math.nan, 0.05, 0.025, 0.5])
    assert rejected.tolist() == [True, True, False, True, True, False]
    # A larger p-value with a smaller multiple of it pulls the ones before it down: 0.02 * 2 / 1 > 0.03 * 2 / 2.
    assert_allclose(benjamini_hochberg([0.02, 0.03])[0], [0.03, 0.03])


def test_minimum_detectable_difference_is_2_8_standard_errors():
    assert minimum_detectable_difference(1.0) == pytest.approx(1.959964 + 0.841621, abs=1e-5)


# Degenerate


@pytest.mark.parametrize("prompts", [0, 1, 5])
def test_without_any_measured_prompt_there_is_no_value(prompts):
    nothing = np.zeros(prompts)
    found = interval(nothing, nothing, **FEW)
    assert found.method == "undefined"
    assert found.prompts == 0
    assert np.isnan([found.value, found.low, found.high]).all()
    difference = paired_difference(nothing, nothing, nothing, nothing)
    assert difference.interval.method == "undefined"
    assert math.isnan(difference.p_value)
    assert math.isnan(difference.minimum_detectable)
    assert not difference.significant


def test_one_prompt_has_a_value_and_no_interval():
    found = interval([3.5, 0.0], [4.0, 0.0], **FEW)
    assert (found.value, found.method, found.prompts) == (0.875, "degenerate", 1)
    assert np.isnan(bounds(found)).all()
    assert found.reason == "1 prompt, an interval needs 5"
    assert interval([3.0, 0.0], [4.0, 0.0]).reason == "one prompt, whose spread is unknown"
    difference = paired_difference([1.0], [1.0], [9.0], [1.0])
    assert difference.interval.value == 8
    assert difference.interval.reason == "1 prompt: too few for an interval of a difference"
    assert difference.p_value == 1


@pytest.mark.parametrize(("prompts", "method"), [(2, "degenerate"), (4, "degenerate"), (5, "bca"), (6, "bca")])
def test_few_prompts_have_a_wider_interval_or_none(prompts, method):
    values = np.random.default_rng(prompts).beta(2, 3, prompts)
    found = interval(values, np.ones(prompts))
    assert found.method == method
    if method == "bca":
        plain = stats.bootstrap((values,), np.mean, method="BCa", rng=7).confidence_interval
        assert found.high - found.low > plain.high - plain.low


def test_equal_values_with_unequal_denominators_are_degenerate():
    denominators = np.array([3.0, 7, 11, 25, 25, 0])
    found = interval(0.1 * denominators, denominators, **FEW)
    assert (found.method, found.prompts) == ("degenerate", 5)
    assert found.value == pytest.approx(0.1)
    assert np.isnan(bounds(found)).all()
    assert found.reason == "all prompts have the same value"


def test_a_language_with_one_prompt_makes_the_mean_degenerate():
    rng = np.random.default_rng(0)
    groups = [(rng.random(20), np.ones(20)), (rng.random(1), np.ones(1))]
    found = macro_interval(groups)
    assert (found.method, found.reason) == ("degenerate", "a group has a single prompt, whose spread is unknown")


def test_resamples_without_a_measured_prompt_are_left_out():
    values = np.array([1.0, 2, 3, 4, 5, *[0.0] * 25])
    found = interval(values, values.astype(bool).astype(float), resamples=2000)
    # All 25 unmeasured prompts drawn 30 times out of 30: (25/30)^30 of the resamples.
    assert found.resamples == pytest.approx(2000 * (1 - (25 / 30) ** 30), abs=15)


def test_percentile_where_bca_is_undefined():
    one_side = core.Resampled(5.0, np.array([1.0, 2.0, 3.0, 4.0]), 0.1, 9, 0.0, False).interval(0.5)
    assert one_side.method == "percentile"
    # The bounds enclose the value, which all replicates lie below.
    assert bounds(one_side) == [1.75, 5.0]
    # A single outlier has the largest acceleration there is, 1/6: the upper tail beyond 6 standard errors folds back.
    outlier = np.where(np.arange(300) == 7, 0.5, 0.0)
    assert interval(outlier, np.ones(300)).method == "bca"
    assert interval(outlier, np.ones(300), confidence=1 - 1e-10).method == "percentile"


def test_a_macro_average_with_an_unmeasured_group_is_undefined_for_that_metric_alone():
    groups = [(np.ones((2, 3)), np.ones((2, 3))), ([[0, 0], [1, 2]], [[0, 0], [1, 1]])]
    first, second = macro_intervals(groups, **FEW)
    assert (first.method, first.prompts) == ("undefined", 3)
    assert second.value == 1.25
    assert macro_interval([([], []), ([1.0], [1.0])], **FEW).method == "undefined"


def test_no_metrics_and_no_p_values():
    assert intervals(np.zeros((0, 4)), np.zeros((0, 4))) == []
    adjusted, rejected = benjamini_hochberg([])
    assert adjusted.shape == rejected.shape == (0,)
    assert np.isnan(benjamini_hochberg([math.nan])[0]).all()
