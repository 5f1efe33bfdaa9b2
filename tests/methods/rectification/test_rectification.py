"""Rectification against the published code, by hand, and the published code's faults."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods import load_detoxified
from detoxbench.methods.rectification.imports import import_rectification
from detoxbench.methods.rectification.method import rectify
from detoxbench.methods.rectification.value_model import ValueModel

ULP = 5e-7
"""Float32 noise of a Q value near -1; ``log(1 + Q - epsilon)`` multiplies it by the inverse of a small cap."""


@pytest.fixture(scope="module")
def published(golden, tmp_path_factory):
    """The value model, imported from the published parameter names."""
    import numpy as np

    reference = golden("rectification")
    folder = tmp_path_factory.mktemp("rectification")
    arrays = np.load(reference.folder / "value_model.npz")
    (folder / "theirs").mkdir()
    save_file({name: torch.from_numpy(arrays[name]) for name in arrays.files}, folder / "theirs" / "model.safetensors")
    import_rectification(folder / "theirs", folder / "ours", heads=4)
    return str(folder / "ours")


def test_golden_values(golden, published, pad):
    reference = golden("rectification")
    model = ValueModel.load(published)
    wanted = torch.cat([reference[f"q_prompt{i}"] for i in range(4)])
    ids, mask = pad(reference.prompts, extra=2)
    torch.testing.assert_close(model(ids, mask).logits[:, -1], wanted, atol=2e-6, rtol=0)


def test_golden(golden, published, next_scores, same_scores):
    reference = golden("rectification")
    base = load_detoxified(str(reference.folder / "base"))
    q = torch.cat([reference[f"q_prompt{i}"] for i in range(4)])
    for cases in reference.grouped():
        epsilon = cases[0]["epsilon"]
        lm = load_detoxified(base, "rectification", value_model=published, epsilon=epsilon)
        wanted = torch.cat([reference[case["key"]] for case in cases]).log_softmax(-1)
        found = next_scores(lm, reference.prompts)
        same_scores(found["alone"].log_softmax(-1), wanted)
        cap = 1 + q - epsilon
        noise = torch.where((cap > 1e-7) & (cap < 5e-3), ULP / cap, 0.0)
        for way in ("batch", "cached"):
            same_scores(found[way].log_softmax(-1), wanted, 1e-4 + noise)


def test_by_hand():
    z = torch.tensor([[0.8, 0.2]]).log()
    once = torch.tensor([[0.5, 0.2]])  # capped at 1 - 0.5 of a total of 1
    twice = torch.tensor([[0.35, 0.2]])  # and at 0.5 of 0.7
    q = torch.tensor([[-0.5, 0.0]])
    torch.testing.assert_close(rectify(z, q, 0.0), twice.log())
    assert not torch.allclose(rectify(z, q, 0.0), once.log())
    torch.testing.assert_close(rectify(z, q + 0.1, 0.1), twice.log())


@given(st.integers(0, 1000), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_properties(seed, epsilon):
    generator = torch.Generator().manual_seed(seed)
    z, q = torch.randn(3, 12, generator=generator) * 4, -torch.rand(3, 12, generator=generator)
    found = rectify(z, q, epsilon)
    assert bool((found <= z).all())  # no token is raised
    assert bool(found.isfinite().all())
    torch.testing.assert_close(rectify(z, torch.zeros_like(q), 0.0), z)  # no risk: the base model
    torch.testing.assert_close(rectify(z + 3, q, epsilon), found + 3)  # only differences of scores matter


def test_value_model_reads_position_ids(artifacts, pad):
    """Left padding without them shifts every learned position."""
    model = artifacts("gpt2", "rectification")["value_model"]
    alone = model(torch.tensor([[7, 8, 9]])).logits[0, -1]
    ids, mask = pad([[7, 8, 9], [1, 2, 3, 4, 5, 6]])
    torch.testing.assert_close(model(ids, mask).logits[0, -1], alone)
    wrong = model(ids, mask, position_ids=torch.arange(6).expand(2, 6)).logits[0, -1]
    assert not torch.allclose(wrong, alone, atol=1e-3)


def test_errors(tiny, new_tiny, artifacts, tmp_path):
    base, given = tiny("gpt2", 0), artifacts("gpt2", "rectification")
    for changes, cause in (
        ({"epsilon": 1.5}, "epsilon=1.5"),
        ({"value_model": None}, "detoxbench fit rectification"),
        ({"value_model": str(tmp_path)}, "no value model: it has no manifest.json"),
        ({"value_model": ValueModel.from_causal_lm(new_tiny("gpt2", 0, vocab_size=60))}, "61 and 60 tokens"),
    ):
        with pytest.raises(DetoxbenchError, match=cause):
            load_detoxified(base, "rectification", **{**given, **changes})
