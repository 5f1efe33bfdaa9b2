"""Top-p sampling against the exact distribution, a full sort, and hand-computed cases."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.sampling import nucleus
from detoxbench.core.sampling.distribution import no_distribution
from detoxbench.core.sampling.noise import exponential, prompt_key, row_keys
from detoxbench.core.sampling.nucleus import _draw_flat, draw


def keys(distributions: int, rows: int, seed: int = 0) -> torch.Tensor:
    prompts = np.repeat(np.array([prompt_key(str(i)) for i in range(distributions)], dtype=np.uint64), rows)
    samples = np.tile(np.arange(rows), distributions)
    return torch.as_tensor(row_keys(seed, prompts, samples, 0)).view(distributions, rows, 2)


def by_full_sort(scores: torch.Tensor, key: torch.Tensor, top_p: float) -> torch.Tensor:
    """The definition, literally: sort, cut at mass p, take the largest perturbed score."""
    ordered, tokens = scores.sort(descending=True)
    before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
    kept = torch.full_like(scores, -math.inf)
    inside = tokens[before < top_p]
    kept[inside] = scores[inside]
    return (kept - exponential(key, torch.arange(len(scores))).log()).argmax(-1)


@pytest.mark.parametrize("vocab", [5, 60, 3000])
@pytest.mark.parametrize("spread", [0.01, 1.0, 6.0])
@pytest.mark.parametrize("top_p", [0.1, 0.9, 1.0])
def test_equals_the_definition(vocab, spread, top_p, monkeypatch):
    """With a selection of 16 tokens most of these take the fallback for flat distributions."""
    monkeypatch.setattr(nucleus, "SELECT", 16)
    scores = torch.randn(4, vocab, dtype=torch.float64, generator=torch.Generator().manual_seed(vocab)) * spread
    key = keys(4, 6)
    found = draw(scores, key, top_p)
    for i in range(4):
        assert torch.equal(found[i], by_full_sort(scores[i], key[i], top_p))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-20, 20), min_size=2, max_size=40, unique=True),
    st.floats(0.05, 1.0),
    st.integers(0, 2**32),
    st.sampled_from([2, 8, 2048]),
)
def test_equals_the_definition_for_any_scores(values, top_p, seed, select):
    saved, nucleus.SELECT = nucleus.SELECT, select
    try:
        scores = torch.tensor([values], dtype=torch.float64)
        key = keys(1, 3, seed)
        assert torch.equal(draw(scores, key, top_p)[0], by_full_sort(scores[0], key[0], top_p))
    finally:
        nucleus.SELECT = saved


@pytest.mark.parametrize(("select", "top_p"), [(2048, 0.9), (4, 0.9), (2048, 1.0)])
def test_draws_follow_the_exact_distribution(select, top_p, monkeypatch):
    monkeypatch.setattr(nucleus, "SELECT", select)
    scores = torch.tensor([[2.0, 1.5, 1.0, 0.5, 0.0, -0.5, -1.0, -3.0]])
    draws = draw(scores, keys(1, 60_000), top_p).flatten()
    p = scores[0].softmax(-1)
    inside = (p.cumsum(-1) - p) < top_p
    expected = (p * inside / (p * inside).sum()).double().numpy()
    counts = np.bincount(draws.numpy(), minlength=8)
    assert (counts[expected == 0] == 0).all()
    kept = expected > 0
    assert stats.chisquare(counts[kept], expected[kept] / expected[kept].sum() * len(draws)).pvalue > 1e-3


def test_hand_computed_nucleus():
    """Probabilities 0.5, 0.3, 0.15, 0.05: mass 0.8 is reached by two tokens exactly, 0.81 needs the third."""
    scores = torch.tensor([[0.5, 0.3, 0.15, 0.05]], dtype=torch.float64).log()
    assert set(draw(scores, keys(1, 500), 0.79).flatten().tolist()) == {0, 1}
    assert set(draw(scores, keys(1, 500), 0.81).flatten().tolist()) == {0, 1, 2}
    assert set(draw(scores, keys(1, 500), 0.3).flatten().tolist()) == {0}


def test_top_k_and_temperature():
    scores = torch.tensor([[3.0, 2.0, 1.0, 0.0]])
    assert set(draw(scores, keys(1, 500), top_k=2).flatten().tolist()) == {0, 1}
    cold = draw(scores, keys(1, 500), temperature=0.05).flatten()
    assert (cold == 0).all()


@pytest.mark.parametrize("select", [2, 2048])
def test_minus_infinity_is_never_drawn(select, monkeypatch):
    monkeypatch.setattr(nucleus, "SELECT", select)
    scores = torch.full((1, 30), -math.inf)
    scores[0, [4, 9, 11]] = torch.tensor([0.0, 0.1, 0.2])
    assert set(draw(scores, keys(1, 300), 1.0).flatten().tolist()) == {4, 9, 11}
    assert set(draw(scores, keys(1, 300), 0.9).flatten().tolist()) == {4, 9, 11}
    scores[0, [9, 11]] = -math.inf
    assert set(draw(scores, keys(1, 30), 0.9).flatten().tolist()) == {4}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_scores(dtype):
    scores = torch.tensor([[5.0, 4.0, -5.0]], dtype=dtype)
    assert set(draw(scores, keys(1, 300), 0.95).flatten().tolist()) == {0, 1}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_scores_that_are_no_distribution_end(bad):
    """Never a search without end: an error, wherever they stand."""
    scores = torch.zeros(1, 5000)
    scores[0, 17] = bad
    assert no_distribution(scores).tolist() == [True]
    keys = torch.zeros(1, 2, 2, dtype=torch.int32)
    with pytest.raises(DetoxbenchError, match="no distribution"):
        _draw_flat(torch.full((5000,), bad), bad, keys[0], 0.9)
    assert no_distribution(torch.full((2, 7), -torch.inf)).tolist() == [True, True]
    assert no_distribution(torch.tensor([[0.0, -torch.inf]])).tolist() == [False]
