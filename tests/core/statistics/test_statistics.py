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
    assert found == Interval(1.0, 1.0, 1.0, "degenerate", 7, 10_000, 0.95)


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
    assert paired_macro_difference([pair], **FEW) == paired_difference(*pair, **FEW)


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
    acceleration, constant = core.accelerations([np.stack([values, np.ones(3)])[None]])
    assert_allclose(acceleration, expected)
    assert not constant[0]


def test_influences_are_those_of_leaving_each_prompt_out():
    numerators, denominators = perplexities(np.random.default_rng(6), prompts=6)
    change, _ = core.influences(np.stack([numerators, denominators])[None])
    left_out = [ratio(np.delete(numerators, i), np.delete(denominators, i)) for i in range(6)]
    assert_allclose(change[0], np.array(left_out) - ratio(numerators, denominators), rtol=1e-9)


def test_bca_tails_against_the_formula_at_one_point():
    # Phi(0.2 + (0.2 - 1.959964) / (1 - 0.1 (0.2 - 1.959964))) = Phi(-1.296573), and Phi(2.955043) with + 1.959964.
    low, high = core.bca_tails(0.2, 0.1, (0.025, 0.975))
    assert_allclose([low, high], [0.097389, 0.998437], atol=1e-6)
    assert_allclose([core.bca_tail_of(low, 0.2, 0.1), core.bca_tail_of(high, 0.2, 0.1)], [0.025, 0.975])


@pytest.mark.parametrize(("bias", "acceleration"), [(math.inf, 0.1), (-math.inf, 0.1), (0.1, math.nan), (0.0, 0.6)])
def test_bca_is_undefined_where_its_correction_is(bias, acceleration):
    assert core.bca_tails(bias, acceleration, (0.025, 0.975)) is None


@pytest.mark.parametrize("prompts", [3, 8, 15])
@pytest.mark.parametrize("seed", [0, 1])
def test_ratio_agrees_with_scipy(prompts, seed):
    data = perplexities(np.random.default_rng(seed), prompts)
    reference = stats.bootstrap(data, ratio, paired=True, n_resamples=50_000, method="BCa", rng=7)
    found = interval(*data, resamples=50_000)
    assert found.method == "bca"
    assert_allclose(found.value, ratio(*data))
    low, high = reference.confidence_interval
    assert_allclose(bounds(found), [low, high], atol=0.05 * (high - low))


def test_ties_with_the_estimate_count_half_as_in_scipy():
    ones = np.array([1.0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0])
    reference = stats.bootstrap((ones,), np.mean, n_resamples=50_000, method="BCa", rng=7).confidence_interval
    assert_allclose(bounds(interval(ones, np.ones(12), resamples=50_000)), list(reference), atol=1e-9)


def test_macro_average_agrees_with_scipy():
    rng = np.random.default_rng(8)
    groups = [rng.lognormal(0, 1, 12), rng.lognormal(1, 0.5, 30), rng.lognormal(0, 0.7, 9)]

    def mean_of_means(*samples, axis=-1):
        return sum(sample.mean(axis=axis) for sample in samples) / len(samples)

    reference = stats.bootstrap(groups, mean_of_means, n_resamples=50_000, method="BCa", rng=7)
    found = macro_interval([(group, np.ones(len(group))) for group in groups], resamples=50_000)
    low, high = reference.confidence_interval
    assert_allclose(found.value, mean_of_means(*groups))
    assert found.prompts == 51
    assert_allclose(bounds(found), [low, high], atol=0.03 * (high - low))


def test_difference_agrees_with_scipy_and_its_p_value_with_the_interval():
    rng = np.random.default_rng(9)
    (num_a, den_a), (num_b, den_b) = perplexities(rng, 20), perplexities(rng, 20)

    def change(n_a, d_a, n_b, d_b, axis=-1):
        return ratio(n_b, d_b, axis) - ratio(n_a, d_a, axis)

    data = (num_a, den_a, num_b, den_b)
    reference = stats.bootstrap(data, change, paired=True, n_resamples=50_000, method="BCa", rng=7)
    found = paired_difference(*data, resamples=50_000)
    low, high = reference.confidence_interval
    assert_allclose(bounds(found.interval), [low, high], atol=0.05 * (high - low))
    assert_allclose(found.standard_error, reference.standard_error, rtol=0.05)
    # The interval at the p-value's own level ends at 0.
    at_zero = paired_difference(*data, resamples=50_000, confidence=1 - found.p_value).interval
    assert 0 < found.p_value < 1
    assert min(abs(at_zero.low), abs(at_zero.high)) < 0.01 * (high - low)


def test_p_value_is_near_that_of_the_t_test_where_both_hold():
    rng = np.random.default_rng(10)
    a, shift = rng.normal(0.3, 0.1, 400), rng.normal(0.01, 0.1, 400)
    found = paired_difference(a, np.ones(400), a + shift, np.ones(400))
    assert_allclose(found.p_value, stats.ttest_rel(a, a + shift).pvalue, atol=0.01)
    assert_allclose(found.standard_error, shift.std() / 20, rtol=0.05)
    assert_allclose(found.minimum_detectable, 2.801585 * found.standard_error, rtol=1e-6)


def test_few_prompts_cannot_be_significant_however_equal():
    zeros, ones = np.zeros(40), np.ones(40)
    changed = np.where(np.arange(40) < 5, 1.0, 0.0)
    assert paired_difference(zeros, ones, changed, ones).p_value >= 2 / 2**5
    assert paired_difference(zeros, ones, ones, ones).p_value == pytest.approx(2 / 10_001)


def test_a_prompt_measured_by_one_method_only_is_left_out_of_both():
    num_a, den_a = np.array([1.0, 2, 3, 9, 4]), np.array([1.0, 1, 1, 1, 1])
    num_b, den_b = np.array([2.0, 2, 5, 0, 4]), np.array([1.0, 1, 1, 0, 1])
    found = paired_difference(num_a, den_a, num_b, den_b, **FEW).interval
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
    difference = paired_difference(nothing, nothing, nothing, nothing, **FEW)
    assert difference.interval.method == "undefined"
    assert math.isnan(difference.p_value)
    assert math.isnan(difference.minimum_detectable)
    assert not difference.significant


def test_one_prompt_has_a_value_and_no_uncertainty():
    found = interval([3.0, 0.0], [4.0, 0.0], **FEW)
    assert (found.value, found.low, found.high) == (0.75, 0.75, 0.75)
    assert (found.method, found.prompts) == ("degenerate", 1)
    difference = paired_difference([1.0], [1.0], [9.0], [1.0], **FEW)
    assert difference.interval.value == 8
    assert difference.p_value == 1


def test_equal_values_with_unequal_denominators_are_degenerate():
    denominators = np.array([3.0, 7, 11, 25, 25, 0])
    found = interval(0.1 * denominators, denominators, **FEW)
    assert (found.method, found.prompts) == ("degenerate", 5)
    assert found.low == found.value == found.high == pytest.approx(0.1)


def test_resamples_without_a_measured_prompt_are_left_out():
    found = interval([1.0, 2.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], resamples=2000)
    # Both unmeasured prompts drawn four times out of four: 1 in 16.
    assert found.resamples == pytest.approx(2000 * 15 / 16, abs=60)
    assert (found.value, found.low, found.high) == (1.5, 1, 2)


def test_percentile_where_bca_is_undefined():
    one_side = core.Resampled(5.0, np.array([1.0, 2.0, 3.0, 4.0]), 0.1, 3, 0.0, False).interval(0.5)
    assert one_side.method == "percentile"
    assert bounds(one_side) == [1.75, 3.25]
    # A single outlier has the largest acceleration there is, 1/6: the upper tail beyond 6 standard errors folds back.
    outlier = np.where(np.arange(300) == 7, 1.0, 0.0)
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
