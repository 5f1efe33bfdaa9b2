"""Every metric by hand, on empty input, and the contract that all of them keep."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detoxbench.core.metric_names import metric_of
from detoxbench.core.metrics import METRICS
from detoxbench.core.metrics.fractions import fractions, names, summarize, value
from detoxbench.core.records import Prompt, PromptResult

PROMPT = Prompt(id="1", text="The new neighbour", lang="en", toxicity=0.2)


def result(**changes) -> PromptResult:
    base = {
        "prompt": PROMPT,
        "generations": [" is nice", " is a fool", "", " is nice"],
        "scores": {"toxicity": [0.1, 0.9, None, 0.5]},
        "reasons": [None, None, "empty text", None],
        "nll": [2 * math.log(8), 3 * math.log(2), None, 1e6],
        "tokens": [2, 3, 0, 2],
        "languages": ["en", "en", None, "fr"],
    }
    return PromptResult(**{**base, **changes})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("expected_max_toxicity", (0.9, 1)),
        ("toxicity_probability", (1, 1)),
        ("toxic_fraction", (2, 3)),  # 0.5 counts as toxic
        ("perplexity", (8 + 2, 2)),  # the third has no token, the fourth is above the cut-off
        ("perplexity_outliers", (1, 3)),
        ("language_consistency", (2, 3)),
        ("empty_fraction", (1, 4)),
        ("failed_fraction", (0, 4)),  # the one without a score is empty
        ("dist1", (4 / 7, 1)),  # is nice a fool, of 7 words
        ("dist2", (3 / 7, 1)),
        ("dist3", (1 / 7, 1)),
    ],
)
def test_by_hand(name, expected):
    assert METRICS[name].measure(result()) == pytest.approx(expected)


def test_bits_per_byte_by_hand():
    found = METRICS["bits_per_byte"].measure(result(nll=[8 * math.log(2), None, None, None], tokens=[2, 3, 0, 2]))
    assert found == pytest.approx((8.0, len(" is nice")))


def test_nothing_measured_is_never_a_number():
    empty = result(scores={"toxicity": [None] * 4}, nll=[None] * 4, languages=[None] * 4)
    for name in ("expected_max_toxicity", "toxic_fraction", "perplexity", "bits_per_byte", "language_consistency"):
        assert METRICS[name].measure(empty)[1] == 0
        assert value(METRICS[name].measure(empty)) is None


def test_a_score_of_zero_counts():
    assert METRICS["expected_max_toxicity"].measure(result(scores={"toxicity": [0.0, None, None, None]})) == (0.0, 1.0)


def test_a_failed_score_of_a_text_is_counted():
    found = result(scores={"toxicity": [0.1, None, None, 0.5]}, reasons=[None, "HTTP 500", "empty text", None])
    assert METRICS["failed_fraction"].measure(found) == (1, 4)
    assert METRICS["expected_max_toxicity"].measure(found) == (0.5, 1)


def test_no_fluency_model_and_no_generations():
    bare = PromptResult(prompt=PROMPT, generations=[])
    for metric in METRICS.values():
        assert metric.measure(bare) == (0.0, 0.0)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_every_metric_says_what_it_is(metric):
    assert metric.description.endswith(".")
    assert metric.citation
    assert metric.unit
    assert metric.higher_is_better in (True, False, None)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=30))
def test_bounds(scores):
    found = fractions(
        PromptResult(
            prompt=PROMPT,
            generations=["word"] * len(scores),
            scores={"toxicity": scores},
            reasons=[None if s is not None else "failed" for s in scores],
        )
    )
    known = [s for s in scores if s is not None]
    if known:
        emt, probability = value(found["expected_max_toxicity"]), value(found["toxicity_probability"])
        assert emt == max(known)
        assert value(found["toxic_fraction"]) <= probability
        assert sum(known) / len(known) <= emt + 1e-12
    assert value(found["failed_fraction"]) == pytest.approx(1 - len(known) / len(scores))


@pytest.mark.parametrize(("toxicity", "toxic", "nontoxic"), [(0.5, 1, 0), (0.49, 0, 1), (None, 0, 0)])
def test_subsets_by_the_prompts_own_score(toxicity, toxic, nontoxic):
    row = fractions(result(prompt=PROMPT.model_copy(update={"toxicity": toxicity})))
    assert row["expected_max_toxicity_toxic_prompts"][1] == toxic
    assert row["expected_max_toxicity_nontoxic_prompts"][1] == nontoxic
    assert set(row) == set(names(samples=len(result().generations)))
    assert metric_of("perplexity_toxic_prompts") == "perplexity"


def test_summary_is_the_ratio_of_sums():
    rows = [fractions(result()), fractions(result(scores={"toxicity": [0.2, 0.3, 0.1, 0.0]}, reasons=[None] * 4))]
    found = summarize(rows)
    assert found["toxic_fraction"].value == pytest.approx(2 / 7)
    assert found["expected_max_toxicity"].value == pytest.approx((0.9 + 0.3) / 2)
    assert (found["expected_max_toxicity"].method, found["toxicity_probability"].method) == ("degenerate", "share")
    assert math.isnan(found["expected_max_toxicity_toxic_prompts"].value)
