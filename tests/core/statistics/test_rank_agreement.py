"""Kendall's tau-b of two scorers' rankings: by hand, in degenerate cases, against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from detoxbench.core.statistics.rank_agreement import kendall_tau_b, rank_agreement

RNG = np.random.default_rng(0)
VALUES = RNG.beta(2, 3, (5, 40)) + np.linspace(0, 0.5, 5)[:, None]


def side(values):
    return values, np.ones_like(values)


def test_the_same_order_is_one_and_the_order_turned_round_minus_one():
    same = rank_agreement([(side(VALUES), side(VALUES * 0.3))], resamples=100)
    turned = rank_agreement([(side(VALUES), side(-VALUES))], resamples=100)
    assert (same.tau, same.low, same.high) == pytest.approx((1, 1, 1))
    assert (turned.tau, turned.low, turned.high) == pytest.approx((-1, -1, -1))
    assert (same.runs, same.prompts) == (5, 40)


def test_tau_b_by_hand_with_a_tie():
    # Pairs: (1,2) tied in the first; of the other two both agree: 2 / sqrt(2 * 3).
    assert kendall_tau_b(np.array([0.1, 0.1, 0.5]), np.array([0.1, 0.2, 0.3])) == pytest.approx(2 / math.sqrt(6))


def test_the_estimate_is_scipys_of_the_macro_averages():
    other = np.clip(VALUES + RNG.normal(0, 0.4, VALUES.shape), 0, None)
    groups = [(side(VALUES[:, :10]), side(other[:, :10])), (side(VALUES[:, 10:]), side(other[:, 10:]))]
    means = [np.mean([v[:, :10].mean(axis=1), v[:, 10:].mean(axis=1)], axis=0) for v in (VALUES, other)]
    found = rank_agreement(groups, resamples=200)
    assert found.tau == pytest.approx(stats.kendalltau(*means, variant="b").statistic)
    assert -1 <= found.low <= found.high <= 1
    assert found == rank_agreement(groups, resamples=200)


def test_prompts_are_drawn_for_all_runs_and_both_scorers_at_once():
    # Whatever prompts are drawn, every run is 0.1 above the one before it under both scorers.
    shared = RNG.random(30)
    steps = 0.1 * np.arange(4)[:, None]
    found = rank_agreement([(side(shared + steps), side(shared**2 + steps))], resamples=200)
    assert (found.tau, found.low, found.high) == pytest.approx((1, 1, 1))


@pytest.mark.parametrize(
    ("values", "words"),
    [(VALUES[:2], "fewer than 3 runs"), (np.ones((4, 6)), "tied"), (np.full((4, 6), np.nan), "no value")],
)
def test_what_has_no_order_has_a_reason(values, words):
    found = rank_agreement([(side(values), side(values))])
    assert math.isnan(found.tau)
    assert words in found.reason


def test_sides_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="the same runs"):
        rank_agreement([(side(VALUES), side(VALUES[:4]))])
    with pytest.raises(ValueError, match="the same prompts"):
        rank_agreement([(side(VALUES), side(VALUES[:, :9]))])
