"""The top-p filter against sorting the whole vocabulary."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detoxbench.methods.guidance import nucleus
from detoxbench.methods.guidance.nucleus import top_p


def by_sorting(scores: torch.Tensor, p: float) -> torch.Tensor:
    """A token is kept if the strictly more probable ones have mass below p; in float64."""
    exact = scores.double().softmax(-1)
    more = exact.unsqueeze(-2) * (scores.unsqueeze(-2) > scores.unsqueeze(-1))
    return scores.masked_fill(more.sum(-1) >= p, -torch.inf)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_no_filter(p):
    scores = torch.randn(2, 7)
    assert torch.equal(top_p(scores, p), scores)
    assert top_p(scores, p) is not scores


def test_by_hand():
    scores = torch.tensor([[0.5, 0.2, 0.2, 0.1]]).log()
    assert top_p(scores, 0.4).isfinite().tolist() == [[True, False, False, False]]
    assert top_p(scores, 0.6).isfinite().tolist() == [[True, True, True, False]]  # equal scores stay together
    assert top_p(scores, 0.95).isfinite().all()


def test_only_the_nucleus_is_computed():
    scores = torch.randn(3, 5000) * 4
    found = nucleus.nucleus(scores, 0.9)
    assert found.scores.shape == (3, nucleus.SELECT)
    assert torch.equal(found.of(scores)[found.scores.isfinite()], found.scores[found.scores.isfinite()])
    assert torch.equal(found.spread(found.scores), top_p(scores, 0.9))
    tied = torch.zeros(1, 5000)
    tied[0, 7] = 20.0
    assert top_p(tied, 0.9999999).isfinite().all()  # the selection holds some of the equal ones only
    assert top_p(tied, 0.9).isfinite().sum() == 1


def test_argument_is_left_alone():
    scores = torch.randn(3, 20)
    before = scores.clone()
    top_p(scores, 0.5)
    assert torch.equal(scores, before)


@given(st.integers(0, 10_000), st.floats(0.05, 0.99), st.sampled_from([0.01, 1.0, 5.0]))
@settings(max_examples=60, deadline=None)
def test_as_by_sorting(seed, p, spread):
    scores = torch.randn(3, 50, generator=torch.Generator().manual_seed(seed)) * spread
    assert torch.equal(top_p(scores, p).isneginf(), by_sorting(scores, p).isneginf())


@given(st.integers(0, 10_000), st.floats(0.05, 0.99))
@settings(max_examples=40, deadline=None)
def test_rows_too_flat_for_the_selection(seed, p):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(4, 50, generator=generator) * torch.tensor([[0.01], [1.0], [8.0], [0.0]])
    scores[0, :5] = -torch.inf
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nucleus, "SELECT", 4)
        found = top_p(scores, p)
    assert torch.equal(found.isneginf(), by_sorting(scores, p).isneginf())
