"""Intervals and paired differences against their own symmetries, on any data."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from detoxbench.core.statistics import (
    Difference,
    Interval,
    benjamini_hochberg,
    interval,
    macro_interval,
    paired_difference,
    paired_macro_difference,
)

FEW = {"resamples": 300}
"""Enough where only symmetry is tested: both sides see the same resamples."""

value = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 100, allow_subnormal=False))
measured = st.tuples(value, st.sampled_from([1.0, 3.0, 25.0]))
prompt = st.one_of(st.just((0.0, 0.0)), measured)
prompts = st.lists(prompt, min_size=1, max_size=12)
pairs = st.lists(st.tuples(prompt, prompt), min_size=1, max_size=12)
light = settings(max_examples=60, deadline=None)


def rows(data):
    return np.array(data).reshape(len(data), -1).T


def same(found: Interval, expected: Interval) -> bool:
    return repr(found) == repr(expected)  # NaN equals NaN


@light
@given(data=prompts, order=st.randoms(use_true_random=False))
def test_the_order_of_prompts_does_not_matter(data, order):
    shuffled = order.sample(data, len(data))
    assert same(interval(*rows(shuffled), **FEW), interval(*rows(data), **FEW))


@light
@given(data=pairs, order=st.randoms(use_true_random=False))
def test_pairs_move_together(data, order):
    shuffled = order.sample(data, len(data))
    assert repr(paired_difference(*rows(shuffled))) == repr(paired_difference(*rows(data)))


@light
@given(data=st.lists(pairs, min_size=1, max_size=4), order=st.randoms(use_true_random=False))
def test_the_order_of_groups_does_not_matter(data, order):
    shuffled = [rows(group) for group in order.sample(data, len(data))]
    groups = [rows(group) for group in data]
    assert repr(paired_macro_difference(shuffled)) == repr(paired_macro_difference(groups))
    one, other = ([group[:2] for group in given] for given in (shuffled, groups))
    assert same(macro_interval(one, **FEW), macro_interval(other, **FEW))


@light
@given(data=prompts, power=st.integers(-8, 8))
def test_scaling_the_numerators_scales_the_interval(data, power):
    numerators, denominators = rows(data)
    found, scaled = (interval(numerators * factor, denominators, **FEW) for factor in (1.0, 2.0**power))
    if "share" in (scaled.method, found.method):
        return  # a count is none any more when it is scaled
    assert scaled.method == found.method
    expected = np.array([found.value, found.low, found.high]) * 2.0**power
    # A power of two leaves the digits alone, so the resamples are the same.
    assert_allclose([scaled.value, scaled.low, scaled.high], expected, rtol=1e-12)


@light
@given(data=st.lists(pairs, min_size=1, max_size=3))
def test_exchanging_the_methods_changes_the_sign_and_nothing_else(data):
    groups = [rows(group) for group in data]
    forward = paired_macro_difference(groups)
    backward = paired_macro_difference([group[[2, 3, 0, 1]] for group in groups])
    values = [forward.interval.value, forward.interval.low, forward.interval.high]
    exchanged = [-backward.interval.value, -backward.interval.high, -backward.interval.low]
    np.testing.assert_array_equal(values, exchanged)
    assert repr(forward.p_value) == repr(backward.p_value)
    assert repr(forward.minimum_detectable) == repr(backward.minimum_detectable)
    assert forward.significant is backward.significant


@light
@given(data=prompts)
def test_bounds_are_in_order_and_within_the_values(data):
    numerators, denominators = rows(data)
    found = interval(numerators, denominators, **FEW)
    if found.method == "degenerate":
        assert np.isnan([found.low, found.high]).all()
        assert found.reason
    elif found.method == "share":
        assert 0 <= found.low <= found.value <= found.high <= 1
        assert found.low < found.high
    elif found.method != "undefined":
        values = numerators[denominators > 0] / denominators[denominators > 0]
        slack = 1e-9 * (1 + values.max())
        assert found.low <= found.high
        assert values.min() - slack <= found.low
        assert found.high <= values.max() + slack


@light
@given(data=pairs)
def test_differences_are_well_formed(data):
    found = paired_difference(*rows(data))
    assert isinstance(found, Difference)
    assert math.isnan(found.p_value) == (found.interval.method == "undefined")
    assert not found.p_value > 1
    assert not found.p_value <= 0
    assert found.significant == (found.p_value < 0.05)
    if found.interval.method == "sign-flip":
        assert found.significant == (not found.interval.low <= 0 <= found.interval.high)


@light
@given(p=st.lists(st.floats(0, 1), max_size=12), q=st.sampled_from([0.01, 0.05, 0.2]))
def test_benjamini_hochberg_agrees_with_scipy(p, q):
    adjusted, rejected = benjamini_hochberg(p, q)
    if p:
        assert_allclose(adjusted, stats.false_discovery_control(p), atol=1e-12)
    assert rejected.tolist() == (adjusted <= q).tolist()
