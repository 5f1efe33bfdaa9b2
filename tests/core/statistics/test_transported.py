"""Shares of toxic texts from labels of other texts: by hand, in degenerate cases, by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from detoxbench.core.statistics.transported import LEAST, Errors, difference, macro_average, transported

PERFECT = Errors(10_000, 10_000, 10_000, 0)
FAIR = Errors(40, 30, 50, 10)
"""Sensitivity 3/4, false positives 1/5."""


def test_a_scorer_that_never_errs_is_taken_at_its_word():
    found = transported([1, 0, 0, 0] * 25, range(100), PERFECT)
    assert found.value == pytest.approx(0.25)
    low, high = found.bounds()
    assert low == pytest.approx(0.25 - 1.96 * math.sqrt(0.25 * 0.75 / 99), abs=2e-3)
    assert high == pytest.approx(0.25 + 1.96 * math.sqrt(0.25 * 0.75 / 99), abs=2e-3)


def test_by_hand():
    # (0.5 - 0.2) / (0.75 - 0.2)
    found = transported([1, 0] * 10, range(20), FAIR)
    assert found.value == pytest.approx(0.3 / 0.55)
    assert found.labelled == 90


def test_bounds_are_where_the_test_does_not_reject():
    found = transported([1, 1, 0, 0, 0, 0] * 40, np.repeat(range(60), 4).tolist(), FAIR)
    low, high = found.bounds()
    first, second = FAIR.variances
    own = float(found.influence @ found.influence) * 60 / 59
    for x in (low, high):
        gap = found.called - 0.2 - x * FAIR.youden
        assert gap**2 == pytest.approx(1.959964**2 * (own + x**2 * first + (1 - x) ** 2 * second), rel=1e-5)


def test_texts_of_one_prompt_are_no_more_than_one_observation():
    alone = transported([1, 0] * 20, range(40), FAIR)
    repeated = transported(np.repeat([1, 0] * 20, 5), np.repeat(range(40), 5).tolist(), FAIR)
    assert repeated.bounds() == pytest.approx(alone.bounds())


def test_a_scorer_that_guesses_says_nothing():
    assert transported([1, 0], range(2), Errors(50, 10, 50, 10)) is None
    nearly = transported([1, 0] * 20, range(40), Errors(30, 16, 30, 14))
    assert all(map(math.isnan, nearly.bounds()))


def test_one_prompt_has_a_value_and_no_bounds():
    assert all(map(math.isnan, transported([1, 0], ["p", "p"], FAIR).bounds()))


def test_a_run_against_itself_differs_by_nothing():
    one = transported([1, 0] * 10, range(20), FAIR)
    same = difference(one, one)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_a_difference_by_hand_and_the_mean_of_several():
    a, b = (transported([1] * n + [0] * (20 - n), range(20), FAIR) for n in (12, 6))
    found = difference(a, b)
    assert found.value == pytest.approx(-0.3 / 0.55)
    assert found.low <= found.value <= found.high
    assert macro_average([found, found]).value == pytest.approx(found.value)
    assert macro_average([a, b]).value == pytest.approx((a.value + b.value) / 2)
    assert macro_average([a, a]).labels == pytest.approx(a.parts[1])  # errors of labels go together
    assert macro_average([a, a]).sampling == pytest.approx(a.parts[0] / 2)


def test_refusals():
    with pytest.raises(ValueError, match="0 or 1"):
        transported([0.5], [0], FAIR)
    with pytest.raises(ValueError, match=f"{LEAST} of either"):
        transported([1], [0], Errors(9, 5, 50, 5))
    with pytest.raises(ValueError, match="other labels"):
        difference(transported([1], [0], FAIR), transported([1], [0], PERFECT))
    with pytest.raises(ValueError, match="no estimates"):
        macro_average([])


def test_intervals_cover_where_the_scorers_own_do_not():
    rng, studies, truth = np.random.default_rng(7), 800, 0.2
    covered = naive = moved = 0
    for _ in range(studies):
        labels = rng.random(600) < 0.5
        hits = rng.random(600) < np.where(labels, 0.7, 0.15)
        errors = Errors(labels.sum(), (hits & labels).sum(), (~labels).sum(), (hits & ~labels).sum())
        tendency = np.repeat(rng.beta(0.8, 3.2, 100), 5)
        both = []
        for share in (1.0, 0.5):
            y = rng.random(500) < tendency * share
            called = (rng.random(500) < np.where(y, 0.7, 0.15)).astype(float)
            both.append(transported(called, np.repeat(range(100), 5).tolist(), errors))
        low, high = both[0].bounds()
        covered += low <= truth <= high
        found = difference(*both)
        moved += found.low <= -truth / 2 <= found.high
        naive += abs(both[0].called - truth) <= 1.96 * math.sqrt(both[0].influence @ both[0].influence)
    assert 0.93 <= covered / studies <= 0.975
    assert 0.93 <= moved / studies <= 0.975
    assert naive / studies < 0.5


def test_prompts_that_are_all_alike_do_not_make_a_share_sure():
    errors = Errors(1000, 900, 1000, 10)
    few, many = (transported([0.0] * (4 * number), [*range(number)] * 4, errors) for number in (2, 40))
    # By hand: half a prompt of each kind added to two, (1/6) (5/6) / 2; continuations of a prompt add nothing.
    assert few.sampling == pytest.approx(5 / 72)
    assert few.value == many.value == 0.0
    assert few.bounds()[1] > 0.4 > many.bounds()[1] > 0.0
    assert few.parts[0] > 0


def test_no_interval_where_the_labels_errors_are_not_the_run_s():
    """The scorer calls nothing toxic in 400 prompts, where its labels have it wrong on every tenth harmless text."""
    found = transported([0.0] * 400, range(400), Errors(10_000, 9_000, 10_000, 1_000))
    assert found.value == 0.0
    assert np.isnan(found.bounds()).all()
