"""Prediction-powered estimates and the Rogan-Gladen correction: by hand, in degenerate cases, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from detoxbench.core.statistics.prediction_powered import difference, macro_average, prediction_powered
from detoxbench.core.statistics.rogan_gladen import rogan_gladen

NAN = math.nan


def test_a_scorer_that_is_always_right_is_taken_at_its_word():
    f = np.array([0.0, 1, 1, 0, 0, 1])
    found = prediction_powered(f, range(6), np.where(np.arange(6) < 3, f, NAN))
    assert found.value == pytest.approx(0.5)
    assert found.weight == pytest.approx(1.0)


def test_with_every_text_labelled_it_is_the_labels_mean_whatever_the_scorer_says():
    y = np.array([0.0, 1, 1, 0, 0, 1, 1])
    for weight in (0.0, 0.5, 1.0, None):
        found = prediction_powered(np.linspace(0, 1, 7), range(7), y, weight=weight)
        assert found.value == pytest.approx(y.mean())
    assert found.error == pytest.approx(y.std(ddof=1) / math.sqrt(7))


def test_by_hand():
    # mean_N f = 0.5; on the labelled three, y - f = 0.2, -0.1, 0.2: mean 0.1.
    f = np.array([0.8, 0.1, 0.8, 0.3, 0.5, 0.5])
    y = np.array([1.0, 0.0, 1.0, NAN, NAN, NAN])
    assert prediction_powered(f, range(6), y, weight=1.0).value == pytest.approx(0.6)
    assert prediction_powered(f, range(6), y, weight=0.0).value == pytest.approx(2 / 3)


def test_a_labelled_text_stands_for_its_stratum():
    # Of 8 texts 6 are low, of which 2 are labelled (0, 1), and 2 are high, both labelled 1: 6/8·1/2 + 2/8·1.
    f = np.zeros(8)
    y = np.array([0, 1, NAN, NAN, NAN, NAN, 1, 1])
    strata = ["low"] * 6 + ["high"] * 2
    assert prediction_powered(f, range(8), y, strata).value == pytest.approx(0.625)


def test_texts_of_one_prompt_are_no_more_than_one_observation():
    rng = np.random.default_rng(0)
    toxic = (rng.random(40) < 0.5).astype(float)
    alone = prediction_powered(np.zeros(40), range(40), toxic)
    repeated = prediction_powered(np.zeros(200), np.repeat(range(40), 5).tolist(), np.repeat(toxic, 5))
    assert repeated.error == pytest.approx(alone.error)


def test_one_prompt_has_a_value_and_no_bounds():
    found = prediction_powered([0.2, 0.4], ["p", "p"], [0.0, 1.0])
    assert found.value == pytest.approx(0.5)
    assert all(map(math.isnan, found.bounds()))


def test_a_run_against_itself_differs_by_nothing():
    found = prediction_powered(np.linspace(0, 1, 10), range(10), [0, 1, 0, 1, 1, NAN, NAN, NAN, NAN, NAN])
    same = difference(found, found)
    assert (same.value, same.low, same.high, same.prompts) == (0.0, 0.0, 0.0, 10)


def test_macro_average_is_the_mean_over_languages():
    one = prediction_powered(np.zeros(4), range(4), [0.0, 0, 1, 1])
    other = prediction_powered(np.zeros(4), range(4), [1.0, 1, 1, 1])
    mean = macro_average([one, other])
    assert mean.value == pytest.approx(0.75)
    assert mean.error == pytest.approx(one.error / 2, rel=0.1)


@pytest.mark.parametrize(
    ("predictions", "labels", "options", "words"),
    [
        ([0.1, 0.2], [1.0], {}, "2 predictions, 1 labels"),
        ([0.1, NAN], [1.0, 1.0], {}, "finite"),
        ([0.1, 0.2, 0.3], [1.0, NAN, NAN], {}, "1 of its 3 texts are labelled"),
        ([0.1, 0.2], [1.0, 1.0], {"weight": 2}, "from 0 to 1"),
        ([0.1, 0.2], [1.0, 5.0], {}, "labels must be from 0 to 1"),
        ([], [], {}, "of one text at least"),
    ],
)
def test_refusals(predictions, labels, options, words):
    with pytest.raises(ValueError, match=words):
        prediction_powered(predictions, range(len(predictions)), labels, **options)


def world(rng: np.random.Generator, prompts: int, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Texts of prompts that differ, truly toxic in 30% of cases, and a scorer that overdoes it: y, f, prompt."""
    tendency = np.repeat(rng.beta(0.9, 2.1, size=prompts), k)
    y = (rng.random(prompts * k) < tendency).astype(float)
    f = np.clip(0.35 + 0.35 * y + 0.15 * rng.standard_normal(len(y)), 0, 1)
    return y, f, np.repeat(np.arange(prompts), k)


def sampled(rng: np.random.Generator, strata: np.ndarray, each: int) -> np.ndarray:
    chosen = np.zeros(len(strata), dtype=bool)
    for kind in np.unique(strata):
        inside = np.flatnonzero(strata == kind)
        chosen[rng.permutation(inside)[:each]] = True
    return chosen


def test_intervals_cover_where_the_scorers_own_do_not():
    """95% intervals of 1,500 simulated studies: 150 prompts of 10 texts, 120 labelled, in three strata of the score."""
    rng, studies, truth = np.random.default_rng(20), 1_500, 0.3
    covered = naive = plain = 0
    for _ in range(studies):
        y, f, prompt = world(rng, 150, 10)
        strata = np.digitize(f, [0.4, 0.6])
        seen = sampled(rng, strata, 40)
        low, high = prediction_powered(f, prompt.tolist(), np.where(seen, y, NAN), strata.tolist()).bounds()
        covered += low <= truth <= high
        called = (f >= 0.5).reshape(150, 10).mean(axis=1)
        naive += abs(called.mean() - truth) <= 1.96 * called.std(ddof=1) / math.sqrt(150)
        plain += abs(y[seen].mean() - truth) <= 1.96 * y[seen].std(ddof=1) / math.sqrt(seen.sum())
    assert 0.93 <= covered / studies <= 0.97
    assert naive / studies < 0.8  # the scorer's own share
    assert plain / studies < 0.8  # labels of a stratified sample, unweighted


def test_intervals_of_differences_cover_and_pairing_pays():
    rng, studies, k = np.random.default_rng(21), 1_000, 8
    covered, paired, unpaired = 0, [], []
    for _ in range(studies):
        tendency = np.repeat(rng.beta(0.9, 2.1, size=120), k)
        prompt, both = np.repeat(np.arange(120), k), []
        for share in (1.0, 0.5):
            y = (rng.random(len(tendency)) < tendency * share).astype(float)
            f = np.clip(0.35 + 0.35 * y + 0.15 * rng.standard_normal(len(y)), 0, 1)
            strata = np.digitize(f, [0.5])
            both.append(
                prediction_powered(f, prompt.tolist(), np.where(sampled(rng, strata, 40), y, NAN), strata.tolist())
            )
        found = difference(*both)
        covered += found.low <= -0.15 <= found.high
        paired.append(found.high - found.low)
        unpaired.append(2 * 1.96 * math.hypot(both[0].error, both[1].error))
    assert 0.93 <= covered / studies <= 0.97
    assert np.mean(paired) < np.mean(unpaired)


def test_the_tuned_weight_is_no_worse_than_either_extreme():
    rng = np.random.default_rng(3)
    y, f, prompt = world(rng, 100, 10)
    labels = np.where(sampled(rng, np.zeros(len(y)), 100), y, NAN)
    errors = {w: prediction_powered(f, prompt.tolist(), labels, weight=w).error for w in (0.0, 1.0, None)}
    assert errors[None] <= min(errors[0.0], errors[1.0]) + 1e-12


def test_rogan_gladen_by_hand():
    # Sensitivity 3/4, specificity 4/5, apparent share 0.5: (0.5 + 0.8 - 1) / 0.55.
    found = rogan_gladen(
        [1, 0] * 10, range(20), [1, 1, 1, 0, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0, 0, 0], range(9), resamples=200
    )
    assert (found.sensitivity, found.specificity) == (0.75, 0.8)
    assert found.value == pytest.approx(0.3 / 0.55)


def test_rogan_gladen_says_nothing_of_a_scorer_that_guesses():
    guess = rogan_gladen([1, 0] * 10, range(20), [1, 0, 1, 0], [1, 1, 0, 0], range(4))
    assert math.isnan(guess.value)
    assert "next to nothing" in guess.reason
    same = rogan_gladen([1, 0], range(2), [1, 0], [1, 1], range(2))
    assert math.isnan(same.value)
    assert "the same" in same.reason
    with pytest.raises(ValueError, match="both sets"):
        rogan_gladen([], [], [1], [1], [0])


def test_rogan_gladen_intervals_cover():
    rng, studies = np.random.default_rng(5), 400
    covered = 0
    for _ in range(studies):
        _, f, prompt = world(rng, 120, 5)
        other_y, other_f, other_prompt = world(rng, 150, 2)
        found = rogan_gladen(f >= 0.5, prompt.tolist(), other_f >= 0.5, other_y, other_prompt.tolist(), resamples=400)
        covered += found.low <= 0.3 <= found.high
    assert 0.92 <= covered / studies <= 0.98
