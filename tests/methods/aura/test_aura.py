"""AurA: the area under the curve, factors, and that hooks and weights are the same change."""

from __future__ import annotations

import copy

import pytest
import torch
from sklearn.metrics import roc_auc_score

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods import load_detoxified
from detoxbench.methods.activation import vectors
from detoxbench.methods.aura.fit import KIND, auroc, factors
from detoxbench.methods.aura.method import damped

IDS = torch.tensor([[3, 4, 5, 6]])


def test_auroc_by_hand():
    """Pairs won, ties half: (3 of 4), all, none, and one that always ties."""
    toxic = torch.tensor([[1.0, 5.0, 0.0, 2.0], [4.0, 6.0, 1.0, 2.0]])
    clean = torch.tensor([[0.0, 1.0, 2.0, 2.0], [2.0, 2.0, 3.0, 2.0]])
    assert auroc(toxic, clean).tolist() == [0.75, 1.0, 0.0, 0.5]
    assert factors(toxic, clean).tolist() == [0.5, 0.0, 1.0, 1.0]


def test_auroc_against_scikit_learn():
    rng = torch.Generator().manual_seed(0)
    toxic = torch.randint(0, 6, (17, 5), generator=rng).float()
    clean = torch.randint(0, 5, (23, 5), generator=rng).float()
    labels = [1] * 17 + [0] * 23
    for column, found in enumerate(auroc(toxic, clean).tolist()):
        assert found == pytest.approx(roc_auc_score(labels, torch.cat([toxic, clean])[:, column].numpy()))


def test_damped_by_hand():
    states = torch.tensor([[2.0, -4.0]])
    assert damped(states, torch.tensor([0.5, 0.0]), 1.0).tolist() == [[1.0, 0.0]]
    assert damped(states, torch.tensor([0.5, 0.0]), 0.5).tolist() == [[1.5, -2.0]]
    assert torch.equal(damped(states, torch.tensor([0.5, 0.0]), 0.0), states)


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma3_text", "qwen3", "mixtral", "qwen2_moe", "opt"])
def test_hooks_and_weights_are_the_same_change(tiny, artifacts, architecture):
    """Of a mixture, too: all experts' output matrices."""
    given = artifacts(architecture, "aura")
    lm = load_detoxified(tiny(architecture, 0), "aura", **given)
    folded = copy.deepcopy(lm.base)
    with torch.no_grad():
        for name, tensor in folded.state_dict().items():
            tensor.copy_(lm.activation.weight(name, tensor))
        found, plain = folded(IDS).logits, lm.base(IDS).logits
    torch.testing.assert_close(found, lm(IDS).logits, atol=1e-4, rtol=1e-4)
    assert float((found - plain).abs().max()) > 0.01


def test_vectors_of_another_model(tiny, artifacts, tmp_path):
    with pytest.raises(DetoxbenchError, match=r"method 'aura' needs vectors; make them with: detoxbench fit aura"):
        load_detoxified(tiny("gpt2", 0), "aura")
    with pytest.raises(DetoxbenchError, match="was not made on"):
        load_detoxified(tiny("llama", 0), "aura", **artifacts("gpt2", "aura"))
    vectors.store(tmp_path / "short", KIND, {"transformer.h.0.mlp.c_fc": torch.ones(3)})
    with pytest.raises(DetoxbenchError, match=r"of transformer.h.0.mlp.c_fc it has \[3\] instead of \[64\]; refit"):
        load_detoxified(tiny("gpt2", 0), "aura", vectors=str(tmp_path / "short"))
    with pytest.raises(DetoxbenchError, match="holds a toxic subspace, not a neuron factors"):
        load_detoxified(tiny("gpt2", 0), "aura", **artifacts("gpt2", "profs"))
    with pytest.raises(DetoxbenchError, match="argument strength=1.5"):
        load_detoxified(tiny("gpt2", 0), "aura", strength=1.5)


def test_numbers_that_are_not_finite(tmp_path):
    with pytest.raises(DetoxbenchError, match="a holds numbers that are not finite"):
        vectors.store(tmp_path / "v", KIND, {"a": torch.tensor([1.0, float("nan")])})
    assert not (tmp_path / "v").exists()
