"""kNN-LM against the published code and by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods import load_detoxified
from detoxbench.methods.guidance import nucleus
from detoxbench.methods.guidance.nucleus import within
from detoxbench.methods.knn_lm.method import discourage, interpolate
from detoxbench.methods.retrieval.datastore import Datastore


def test_golden(golden, next_scores, same_scores, tmp_path):
    reference = golden("goodtriever")
    base = load_detoxified(str(reference.folder / "base"))
    store = Datastore.from_arrays(
        tmp_path / "toxic", reference.arrays["toxic_keys"], reference.arrays["toxic_values"], model=base
    )
    for cases in reference.grouped():
        if "mode" not in cases[0]:
            continue
        mode = cases[0]["mode"].removeprefix("interpolate_")
        settings = {name: cases[0][name] for name in ("lmbda", "k", "temperature")}
        lm = load_detoxified(base, "knn_lm", datastore=store, mode=mode, **settings)
        wanted = torch.cat([reference[case["key"]] for case in cases])
        # The relu's argument is a difference of nearly equal probabilities: where it is tiny, float32 noise shows.
        allowed = 1e-3 + 1e-8 / wanted.exp() if mode == "discourage" else 1e-4
        for found in next_scores(lm, reference.prompts).values():
            same_scores(found, wanted, allowed)


def test_by_hand():
    z, p_knn = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.0, 1.0]])
    torch.testing.assert_close(interpolate(z, p_knn, 0.2), torch.tensor([[0.4, 0.6]]).log())
    torch.testing.assert_close(discourage(z, p_knn, 0.5), torch.tensor([[0.75, 0.25]]).log())
    assert discourage(z, p_knn, 1.0)[0, 1].isneginf()


@given(st.integers(0, 1000), st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_properties(seed, lmbda):
    generator = torch.Generator().manual_seed(seed)
    z, p_knn = torch.randn(2, 9, generator=generator), torch.rand(2, 9, generator=generator).softmax(-1)
    torch.testing.assert_close(interpolate(z, p_knn, lmbda).exp().sum(-1), torch.ones(2))
    torch.testing.assert_close(interpolate(z, z.softmax(-1), lmbda), z.log_softmax(-1))
    torch.testing.assert_close(interpolate(z, p_knn, 0.0), z.log_softmax(-1))
    torch.testing.assert_close(discourage(z, p_knn, 0.0), z.log_softmax(-1))


def test_errors(tiny, artifacts):
    given = artifacts("gpt2", "knn_lm")
    for changes, cause in (
        ({"lmbda": 1.5}, "lmbda=1.5"),
        ({"lmbda": -0.5}, "lmbda=-0.5"),
        ({"mode": "x"}, "mode='x'"),
        ({"datastore": None}, "datastore=…"),
    ):
        with pytest.raises(DetoxbenchError, match=cause):
            load_detoxified(tiny("gpt2", 0), "knn_lm", **{**given, **changes})


@torch.no_grad()
@pytest.mark.parametrize("mode", ["interpolate", "discourage"])
def test_a_filter_leaves_the_nucleus_of_the_base_model(tiny, artifacts, mode):
    """The published code filters the base scores and then lets the datastore's tokens in again."""
    given = {**artifacts("gpt2", "knn_lm"), "mode": mode, "lmbda": 0.5}
    ids = torch.tensor([[3, 5, 8], [1, 2, 4]])
    base = tiny("gpt2", 0)(input_ids=ids).logits[:, -1].float()
    free, filtered = (
        load_detoxified(tiny("gpt2", 0), "knn_lm", **given, filter_p=p)(input_ids=ids).logits[:, -1] for p in (1.0, 0.6)
    )
    inside = nucleus.top_p(base, 0.6).isfinite()
    assert not filtered[~inside].isfinite().any()
    both = inside & free.isfinite()
    assert both.any(-1).all()
    torch.testing.assert_close(filtered[both], free[both])


def test_where_a_datastore_leaves_no_token_of_the_nucleus_the_base_model_speaks():
    z = torch.tensor([[2.0, 1.0, -9.0, -9.0]])
    gone = torch.tensor([[-torch.inf, -torch.inf, 0.0, 0.0]])
    torch.testing.assert_close(within(gone, z, 0.9), torch.tensor([[2.0, 1.0, -torch.inf, -torch.inf]]))
