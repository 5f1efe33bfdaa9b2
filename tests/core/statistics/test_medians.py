"""The median of repeated measurements, by hand and by a binomial table."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from detoxbench.core.statistics.medians import median_interval


def test_by_hand():
    """Of nine values the 2nd smallest and 2nd largest hold the median with 1 - 2 (1 + 9) / 512 = 96.1%."""
    found = median_interval([9, 1, 8, 2, 7, 3, 6, 4, 5])
    assert (found.value, found.low, found.high) == (5.0, 2.0, 8.0)
    assert (found.prompts, found.method) == (9, "order-statistics")
    six = median_interval([1, 2, 3, 4, 5, 6])  # 1 - 2 / 64 = 96.9%
    assert (six.value, six.low, six.high) == (3.5, 1.0, 6.0)


def test_too_few_have_a_median_and_no_interval():
    found = median_interval([1.0, 2.0, 3.0, 4.0, 5.0])  # 93.75%
    assert found.value == 3.0
    assert math.isnan(found.low)
    assert "fewer" in found.reason
    assert math.isnan(median_interval([]).value)
    assert median_interval([math.nan, 2.0]).value == 2.0


@given(st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=40))
def test_the_median_lies_within(values):
    found = median_interval(values)
    assert min(values) <= found.low <= found.value <= found.high <= max(values)
