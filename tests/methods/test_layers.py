"""Where keys are read."""

from __future__ import annotations

import pytest
import torch
from tiny_models import ARCHITECTURES
from transformers import AutoConfig, AutoModelForCausalLM

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods import load_detoxified
from detoxbench.methods.layers import capture_input, key_dim, key_layer
from detoxbench.methods.retrieval.datastore import Datastore

NORMS = {
    "gpt2": "transformer.h.1.ln_2",
    "gpt_neo": "transformer.h.1.ln_2",
    "gpt_neox": "gpt_neox.layers.1.post_attention_layernorm",
    "bloom": "transformer.h.1.post_attention_layernorm",
    "opt": "model.decoder.layers.1.final_layer_norm",
    "gemma2": "model.layers.1.pre_feedforward_layernorm",
    "gemma3_text": "model.layers.1.pre_feedforward_layernorm",
    "phi": "model.layers.1.input_layernorm",
}
LAYERS = {
    "gpt2": "transformer.h.1.mlp",
    "gpt_neo": "transformer.h.1.mlp",
    "gpt_neox": "gpt_neox.layers.1.mlp",
    "bloom": "transformer.h.1.mlp",
    "opt": "model.decoder.layers.1.fc1",
}
"""Where published datastores of these architectures were read; of others ``model.layers.1.mlp``."""


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_key_is_the_normalised_input_of_the_last_mlp(tiny, architecture):
    model = tiny(architecture, 0)
    norm = model.get_submodule(NORMS.get(architecture, "model.layers.1.post_attention_layernorm"))
    outputs = []
    handle = norm.register_forward_hook(lambda module, args, output: outputs.append(output))
    with torch.no_grad(), capture_input(model.get_submodule(key_layer(model))) as captured:
        model(torch.tensor([[3, 4, 5], [6, 7, 8]]))
    handle.remove()
    torch.testing.assert_close(captured.states.reshape(2, 3, -1), outputs[0].reshape(2, 3, -1))
    assert key_dim(model, key_layer(model)) == 16


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_same_layer_as_ever(tiny, architecture):
    assert key_layer(tiny(architecture, 0)) == LAYERS.get(architecture, "model.layers.1.mlp")


def test_hook_is_removed_after_an_error(tiny):
    module = tiny("gpt2", 0).get_submodule(key_layer(tiny("gpt2", 0)))
    with pytest.raises(ZeroDivisionError), capture_input(module):
        raise ZeroDivisionError
    assert not module._forward_pre_hooks


@pytest.fixture
def unknown_model():
    config = AutoConfig.for_model(
        "gptj",
        vocab_size=61,
        n_embd=16,
        n_layer=2,
        n_head=2,
        n_positions=64,
        rotary_dim=4,
        bos_token_id=0,
        eos_token_id=0,
    )
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


def test_another_architecture_names_its_layer(unknown_model, tmp_path):
    assert key_layer(unknown_model) == "transformer.h.1.mlp"
    with pytest.raises(DetoxbenchError, match=r"key_layer=h.9: this gptj model has no such module; e.g."):
        key_layer(unknown_model, "h.9")
    layer = key_layer(unknown_model, "transformer.h.1.mlp.fc_out")
    assert key_dim(unknown_model, layer) == 64
    keys = torch.randn(40, 64).numpy()
    store = Datastore.from_arrays(tmp_path / "s", keys, torch.arange(40).numpy(), model=unknown_model, layer=layer)
    lm = load_detoxified(unknown_model, "goodtriever", toxic_datastore=store, k=8, key_layer=layer)
    assert lm(torch.tensor([[3, 4]])).logits.shape == (1, 2, 61)
    with pytest.raises(DetoxbenchError, match=r"made from layer transformer.h.1.mlp.fc_out, not transformer.h.1.mlp"):
        load_detoxified(unknown_model, "goodtriever", toxic_datastore=store, k=8, key_layer="transformer.h.1.mlp")


def test_layer_that_is_not_called(tiny):
    model = tiny("gpt2", 0)
    model.add_module("idle", torch.nn.Linear(2, 2))
    try:
        with pytest.raises(DetoxbenchError, match=r"not called"):
            key_dim(model, "idle")
    finally:
        del model.idle
