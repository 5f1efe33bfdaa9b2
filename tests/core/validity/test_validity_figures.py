"""Figures against people's labels: hand-computed, against scikit-learn and Krippendorff's own example, degenerate."""

import dataclasses
import math

import numpy as np
import pytest
from sklearn import metrics

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.validity import annotators, figures, split
from detoxbench.core.validity.known import known, sentence
from detoxbench.core.validity.labelled import LabelledText
from detoxbench.core.validity.measure import Column, better_than_chance, measure


def once(texts):
    return np.ones((1, texts))


def random_case(seed=0, texts=300):
    rng = np.random.default_rng(seed)
    truth = rng.random(texts) < 0.3
    scores = np.round(np.clip(0.35 * truth + 0.5 * rng.random(texts), 0, 1), 2)  # with ties
    return scores, truth


def test_against_scikit_learn():
    scores, truth = random_case()
    called = scores >= 0.5
    found = dict(
        zip(figures.NAMES, figures.all_of(scores, truth * 1.0, truth, 0.5, None)(once(300))[:, 0], strict=True)
    )
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(truth, scores))
    assert found["average_precision"] == pytest.approx(metrics.average_precision_score(truth, scores))
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, called))
    assert found["precision"] == pytest.approx(metrics.precision_score(truth, called))
    assert found["recall"] == pytest.approx(metrics.recall_score(truth, called))
    assert found["f1"] == pytest.approx(metrics.f1_score(truth, called))
    assert found["kappa"] == pytest.approx(metrics.cohen_kappa_score(truth, called))
    assert all(math.isnan(found[name]) for name in figures.WEIGHTED)
    first, second = np.array([1, 2, 3, 4, 5, 5, 3, 1]), np.array([1, 3, 3, 5, 4, 5, 2, 1])
    for weights, power in (("quadratic", 2), ("linear", 1)):
        assert figures.weighted_kappa(first, second, once(8), power)[0] == pytest.approx(
            metrics.cohen_kappa_score(first, second, weights=weights)
        )


def test_counts_are_repetitions():
    scores, truth = random_case(1, 40)
    counts = np.random.default_rng(2).integers(0, 4, 40)
    repeated = np.repeat(np.arange(40), counts)
    ratings = figures.rating_of(scores)[::-1].copy()
    whole = figures.all_of(scores, ratings, truth, 0.5, ratings)(counts[None].astype(float))
    again = figures.all_of(scores[repeated], ratings[repeated], truth[repeated], 0.5, ratings[repeated])
    np.testing.assert_allclose(whole, again(once(len(repeated))))


def test_by_hand():
    scores, truth = np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, True, False, True])
    assert figures.auc(scores, truth, once(4))[0] == pytest.approx((1.5 + 2) / 4)  # 0.4 beats 0.1 and ties with 0.4
    assert figures.expected_calibration_error(scores, truth, once(4))[0] == pytest.approx(
        (0.1 + abs(1 - 0.8) + 0.2) / 4
    )
    assert figures.rating_of(np.array([0.0, 0.5, 0.49, 0.375, 1.0])).tolist() == [1, 3, 3, 3, 5]
    curve = figures.reliability(scores, truth, np.ones(len(scores)))
    assert [one["texts"] for one in curve] == [1, 2, 1]
    assert curve[1]["toxic"] == 0.5


def test_undefined_is_nan():
    one_sided = np.zeros(3, dtype=bool)
    found = figures.all_of(np.full(3, 0.5), np.zeros(3), one_sided, 0.6, None)(once(3))[:, 0]
    by_name = dict(zip(figures.NAMES, found, strict=True))
    assert all(math.isnan(by_name[name]) for name in ("auc", "average_precision", "precision", "recall", "f1", "kappa"))
    assert by_name["accuracy"] == 1
    assert by_name["false_positive_rate"] == 0


KRIPPENDORFF = np.array([
    [1, 1, np.nan, 1], [2, 2, 3, 2], [3, 3, 3, 3], [3, 3, 3, 3], [2, 2, 2, 2], [1, 2, 3, 4], [4, 4, 4, 4],
    [1, 1, 2, 1], [2, 2, 2, 2], [np.nan, 5, 5, 5], [np.nan, np.nan, 1, 1], [np.nan, 3, np.nan, np.nan],
])  # fmt: skip
"""The example of Krippendorff (2011), section C: 4 observers, 12 units."""


def test_krippendorff_alpha():
    assert annotators.krippendorff_alpha(KRIPPENDORFF, once(12), "ordinal")[0] == pytest.approx(0.815, abs=5e-4)
    assert annotators.krippendorff_alpha(KRIPPENDORFF, once(12), "interval")[0] == pytest.approx(0.849, abs=5e-4)
    assert annotators.krippendorff_alpha(np.array([[1.0, 1, 1], [5, 5, 5]]), once(2))[0] == 1
    assert np.isnan(annotators.krippendorff_alpha(np.full((3, 2), 2.0), once(3)))
    twice = np.repeat(KRIPPENDORFF, 2, axis=0)
    np.testing.assert_allclose(
        annotators.krippendorff_alpha(KRIPPENDORFF, 2 * once(12)), annotators.krippendorff_alpha(twice, once(24))
    )


def test_ceiling():
    agreed = np.array([[1.0, 1, 1], [5, 5, 5], [3, 3, 3], [2, 2, 2]])
    found = dict(zip(figures.NAMES, annotators.ceiling(agreed, 3.0, once(4))[:, 0], strict=True))
    assert found["auc"] == found["accuracy"] == found["kappa"] == found["linear_weighted_kappa"] == 1
    # The first says toxic where the others' mean is 2, and the reverse; the others see a mean of 3 against their own.
    crossed = np.array([[5.0, 2, 2], [1, 4, 4]])
    of_first = figures.auc(crossed[:, 0], crossed[:, 1:].mean(1) >= 3, once(2))[0]
    assert of_first == 0
    assert np.isnan(annotators.ceiling(np.array([[1.0], [5.0]]), 3.0, once(2))).all()


def test_parts_keep_their_texts():
    shares = [split.part_of(f"rtp_lx/{number}") for number in range(20_000)]
    for name, share in split.SHARES.items():
        assert shares.count(name) / len(shares) == pytest.approx(share, abs=0.015)
    # Pinned: a change moves texts that scorers were fitted on into the part that they are measured on.
    assert [split.part_of(f"rtp_lx/{number}") for number in range(6)] == PARTS
    with pytest.raises(DetoxbenchError, match="did you mean 'test'"):
        split.check("tests")


PARTS = ["train", "train", "train", "train", "train", "calibration"]


def labelled(langs=("fr", "de"), clusters=60, seed=0):
    rng = np.random.default_rng(seed)
    found = []
    for cluster in range(clusters):
        toxic = cluster % 3 == 0
        for lang in langs:
            ratings = tuple(float(r) for r in np.clip(rng.integers(3, 6, 3) if toxic else rng.integers(1, 4, 3), 1, 5))
            label = sum(ratings) / 3
            found.append(
                LabelledText(f"{lang} {cluster}", lang, label, label >= 3, f"set/{cluster}", ratings,
                             {"target": "women" if cluster % 2 else "men"})
            )  # fmt: skip
    return found


def test_measure():
    texts = labelled()
    truth = np.array([one.positive for one in texts])
    noise = np.random.default_rng(5).random(len(texts))
    perfect, guessing = np.where(truth, 0.9, 0.1), noise
    unscored = np.where(noise < 0.1, np.nan, perfect)
    found = measure(
        texts, [Column("perfect", "1", perfect, 2.0), Column("guess", "1", guessing), Column("some", "1", unscored)],
        resamples=200,
    )  # fmt: skip
    best, guess, some = found["scorers"]
    assert best["languages"]["fr"]["figures"]["auc"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert best["languages"]["fr"]["better_than_chance"] is True
    assert best["texts_per_second"] == 60
    assert guess["languages"]["de"]["better_than_chance"] is False
    assert guess["macro"]["figures"]["auc"]["low"] < 0.5 < guess["macro"]["figures"]["auc"]["high"]
    assert some["languages"]["fr"]["unscored"] > 0
    assert "texts_per_second" not in some
    error = guess["languages"]["fr"]["figures"]["expected_calibration_error"]
    assert error["low"] < error["value"] < error["high"]
    women = best["groups"]["target"]["women"]["fr"]
    assert women["failure_rate"]["value"] == women["false_positive_rate"]["value"] == 0
    assert found["annotators"]["macro"]["figures"]["auc"]["value"] > 0.5
    difference = found["comparisons"][0]
    assert (difference["reference"], difference["scorer"]) == ("perfect", "guess")
    assert difference["languages"]["fr"]["differences"]["auc"]["value"] < -0.2
    assert difference["languages"]["fr"]["differences"]["auc"]["p_adjusted"] < 0.05
    same = measure(texts, [Column("a", "1", guessing), Column("b", "1", guessing)], resamples=200)["comparisons"][0]
    assert same["macro"]["auc"] == {"value": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}


def test_a_text_counts_for_those_it_stands_for():
    """A sample with unequal shares gives the figures of the population that it was drawn from."""
    texts = labelled(("fr",), 40)
    scores = np.random.default_rng(2).random(40)
    weights = np.random.default_rng(3).integers(1, 5, 40)
    weighed = [dataclasses.replace(one, stands_for=float(weight)) for one, weight in zip(texts, weights, strict=True)]
    repeated = [one for one, weight in zip(texts, weights, strict=True) for _ in range(weight)]
    a = measure(weighed, [Column("s", "1", scores)], resamples=50)["scorers"][0]["languages"]["fr"]
    b = measure(repeated, [Column("s", "1", np.repeat(scores, weights))], resamples=50)["scorers"][0]["languages"]["fr"]
    for name, figure in b["figures"].items():
        assert a["figures"][name] == pytest.approx(figure), name
    drop = [{**one, "texts": 0} for one in b["reliability"]]
    assert [{**one, "texts": 0} for one in a["reliability"]] == [pytest.approx(one) for one in drop]


def test_translations_are_drawn_together():
    """Two languages with the same texts are one sample: the mean over them is as uncertain as either."""
    one = labelled(("fr",), 40)
    both = one + [LabelledText(t.text, "de", t.label, t.positive, t.cluster, t.ratings, t.groups) for t in one]
    scores = np.random.default_rng(1).random(40)
    found = measure(both, [Column("s", "1", np.concatenate([scores, scores]))], resamples=200)["scorers"][0]
    assert found["macro"]["figures"]["auc"] == pytest.approx(found["languages"]["fr"]["figures"]["auc"])


def test_nothing_scored_and_one_text():
    texts = labelled(("fr",), 5)
    found = measure(texts, [Column("none", "1", np.full(5, np.nan))], resamples=100)["scorers"][0]
    assert found["languages"]["fr"]["share_unscored"] == 1
    assert found["languages"]["fr"]["figures"] == {}
    assert found["languages"]["fr"]["better_than_chance"] is None
    alone = measure(texts[:1], [Column("one", "1", np.array([0.7]))], resamples=100)["scorers"][0]
    assert alone["languages"]["fr"]["figures"]["auc"]["value"] is None
    with pytest.raises(ValueError, match="need as many scores"):
        measure(texts, [Column("short", "1", np.zeros(4))])
    assert better_than_chance(None) is None


def test_known():
    class Scorer:
        name = "s"

        def __init__(self, validity):
            self.validity = validity

    def entry(value, low, high):
        return {"texts": 9, "figures": {"auc": {"value": value, "low": low, "high": high}}}

    scorer = Scorer({
        "fr": {"a": entry(0.9, 0.85, 0.95), "b": entry(0.79, 0.76, 0.82)}, "de": {"a": entry(0.52, 0.45, 0.6)},
        "it": {"a": {"texts": 3, "figures": {"auc": {"value": None, "low": None, "high": None}}}},
    })  # fmt: skip
    assert str(known(scorer, "fr-CA")) == "s: AUC 0.79 [0.76, 0.82] in fr (b)"
    assert known(scorer, "fr").labels == "b"
    assert str(known(scorer, "de")).endswith("in de (a), no better than chance")
    assert known(scorer, "it") is known(scorer, "ja") is known(object(), "fr") is None
    assert sentence(scorer, ["fr"]) == "s: AUC 0.79 [0.76, 0.82] in fr (b)"
    assert "0.52 (de) to 0.79 (fr) against people's labels (b, a)" in sentence(scorer, ["fr", "de", "ja"])
    assert "not validated in ja" in sentence(scorer, ["fr", "de", "ja"])
    assert "no better than chance in de" in sentence(scorer, ["fr", "de", "ja"])


def test_what_was_not_seen_has_an_interval():
    """Thirty harmless texts of a group, none of them called toxic: the rate may still be a tenth."""
    texts = [
        LabelledText(f"t{n}", "en", float(n >= 30), n >= 30, f"c{n}", groups={"target": "women" if n < 30 else "none"})
        for n in range(40)
    ]
    column = Column("s", "1", np.array([0.1] * 30 + [0.9] * 10))
    (scorer,) = measure(texts, [column], resamples=50)["scorers"]
    rate = scorer["groups"]["target"]["women"]["en"]["false_positive_rate"]
    assert (rate["value"], rate["low"]) == (0.0, 0.0)
    assert rate["high"] == pytest.approx(0.11, abs=0.01)
    found = scorer["languages"]["en"]["figures"]
    assert (found["recall"]["low"], found["recall"]["high"]) == (pytest.approx(0.71, abs=0.03), 1.0)
    assert found["false_positive_rate"]["high"] == rate["high"]
