"""Figures of agreement, by hand and against scipy and scikit-learn."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from detoxbench.core.scorers.agreement import FIGURES, agreement, groups_of, weighted_kappa, weighted_spearman
from detoxbench.core.statistics.shares import blaker, clopper_pearson

FEW = {"resamples": 200}


def scores(texts=400, noise=0.1, seed=0):
    rng = np.random.default_rng(seed)
    reference = rng.beta(1, 3, texts).round(2)
    return np.clip(reference + rng.normal(0, noise, texts), 0, 1), reference


def test_a_scorer_agrees_with_itself():
    _, reference = scores()
    found = agreement(reference, reference, **FEW)
    assert [found[name].value for name in FIGURES] == [pytest.approx(1), 0, 1, 1, 0]


@pytest.mark.parametrize("seed", range(5))
def test_weighted_figures_are_those_of_repeated_texts(seed):
    first, second = scores(60, seed=seed)
    counts = np.random.default_rng(seed).integers(0, 4, 60)
    a, b = np.repeat(first, counts), np.repeat(second, counts)
    assert_allclose(weighted_spearman(first, second, counts[None].astype(float)), [stats.spearmanr(a, b).statistic])
    assert_allclose(
        weighted_kappa(first >= 0.5, second >= 0.5, counts[None].astype(float)), [cohen_kappa_score(a >= 0.5, b >= 0.5)]
    )


def test_by_hand():
    found = agreement(
        np.array([0.1, 0.6, 0.7, 0.4]), np.array([0.2, 0.4, 0.9, 0.45]), groups=[np.array([0, 1]), np.array([2, 3])]
    )
    assert found["mean_absolute_error"].value == pytest.approx(0.1375)
    assert found["agreement"].value == 0.75
    # (0.75 - 0.5) / (1 - 0.5): two and one of four are toxic.
    assert found["kappa"].value == pytest.approx(0.5)
    assert found["expected_max_toxicity_bias"].value == pytest.approx((0.2 - 0.2) / 2)
    assert found["spearman"].value == pytest.approx(0.8)


def test_intervals_hold_the_value_and_narrow():
    wide, narrow = (agreement(*scores(texts), **FEW) for texts in (200, 2000))
    for name in FIGURES:
        for found in (wide[name], narrow[name]):
            assert found.low <= found.value <= found.high
    for name in FIGURES[:4]:
        assert narrow[name].high - narrow[name].low < wide[name].high - wide[name].low


def test_spearman_is_resampled_as_scipy_does():
    first, second = scores(150)
    found = agreement(first, second, resamples=500)["spearman"]
    expected = stats.bootstrap(
        (first, second), lambda a, b: stats.spearmanr(a, b).statistic, paired=True, vectorized=False, n_resamples=500,
        method="percentile", rng=1,
    ).confidence_interval  # fmt: skip
    assert_allclose([found.low, found.high], [expected.low, expected.high], atol=0.03)


def test_constant_scores_have_no_correlation():
    found = agreement(np.full(60, 0.2), scores(60)[1], **FEW)
    assert found["spearman"].method == "undefined"
    assert np.isnan(found["spearman"].value)
    clean = agreement(np.full(60, 0.2), np.full(60, 0.1), **FEW)
    assert clean["kappa"].method == "undefined"
    assert clean["agreement"].value == 1


def test_groups():
    assert [len(group) for group in groups_of(60)] == [25, 25]
    assert groups_of(49) == []
    assert agreement(*scores(30), **FEW)["expected_max_toxicity_bias"].method == "undefined"


@pytest.mark.parametrize(("first", "second"), [([], []), ([0.1], [0.1, 0.2]), ([np.nan], [0.1]), ([[0.1]], [[0.1]])])
def test_wrong_input(first, second):
    with pytest.raises(ValueError, match="texts"):
        agreement(np.array(first), np.array(second))


def test_prompts_are_what_is_resampled():
    """Texts of one prompt that are all the same say no more than one of them."""
    first, second = scores(80)
    groups = np.arange(80 * 5).reshape(80, 5)
    once = agreement(first, second, groups=list(np.arange(80)[:, None]), **FEW)
    often = agreement(np.repeat(first, 5), np.repeat(second, 5), groups=list(groups), **FEW)
    alone = agreement(np.repeat(first, 5), np.repeat(second, 5), **FEW)
    for name in FIGURES[:4]:
        width, clustered, independent = (one[name].high - one[name].low for one in (once, often, alone))
        if name != "agreement":
            assert_allclose(clustered, width, rtol=1e-6)
        assert independent < 0.7 * width
    # A share's interval is not resampled. One text a prompt is binomial as it is; of five the design effect is known
    # from the data alone: 5 * 80 / 79 (the variance's n - 1), drawn towards 5 by one of the 5 + 1 prompts that
    # disagree, and Student's quantile stands for the normal one (``core/statistics/shares.py``).
    disagree = int(((first >= 0.5) != (second >= 0.5)).sum())
    assert disagree == 5
    effect = (disagree * 5 * 80 / 79 + 5) / (disagree + 1)
    size = 400 / effect * (stats.norm.isf(0.025) / stats.t.isf(0.025, 79)) ** 2
    for found, expected in ((once, blaker(75, 80, 0.95)), (often, clopper_pearson(75 / 80 * size, size, 0.95))):
        assert_allclose([found["agreement"].low, found["agreement"].high], expected, rtol=1e-9)


def test_texts_in_no_group_count_for_themselves():
    first, second = scores(100)
    some = agreement(first, second, groups=[np.array([3, 4])], **FEW)
    assert some["agreement"].value == pytest.approx(((first >= 0.5) == (second >= 0.5)).mean())
    assert some["spearman"].low < some["spearman"].value < some["spearman"].high
