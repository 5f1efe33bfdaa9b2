"""Likelihood of continuations, also where prompt and continuation are longer than the model takes."""

import numpy as np
import pytest

from detoxbench.core import fluency

LIMIT = 128
PROMPT = "The neighbour said that the weather was good and that"


@pytest.fixture(scope="module")
def model():
    return fluency.load("mini")


def test_a_likelihood_is_of_the_continuation_alone(model):
    (nll,), (tokens,) = model.score([PROMPT], [" it was late."])
    assert tokens > 0
    assert nll > 0
    again, _ = model.score([PROMPT, "Another", PROMPT], [" it was late.", " one", ""])
    assert again[0] == pytest.approx(nll, rel=1e-5)
    assert np.isnan(again[2])  # nothing was added


def test_a_prompt_that_is_cut_counts_from_where_it_is_cut(model):
    """The continuation of a long prompt is as likely as after the end of it that the model sees."""
    tokenizer, _ = model._loaded
    long = " ".join([PROMPT] * 30)
    continuation = " it was late."
    (nll,), (tokens,) = model.score([long], [continuation])
    ids = tokenizer(long)["input_ids"]
    seen = tokenizer.decode(ids[len(ids) - (LIMIT - tokens) :])
    assert len(tokenizer(seen)["input_ids"]) == LIMIT - tokens
    (expected,), (same,) = model.score([seen], [continuation])
    assert (same, nll) == (tokens, pytest.approx(expected, rel=1e-4))


def test_a_continuation_longer_than_the_model_takes(model):
    (nll,), (tokens,) = model.score(["The"], [" ".join([PROMPT] * 30)])
    assert tokens == LIMIT - 1
    assert 0 < nll / tokens < 20


def test_nothing():
    assert [len(column) for column in fluency.load("mini").score([], [])] == [0, 0]
