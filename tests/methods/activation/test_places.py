"""Parts of blocks, found from the model."""

from __future__ import annotations

import pytest
import torch

from detoxbench.methods.activation import places
from detoxbench.methods.activation.hooks import watching

MLP = {
    "gpt2": ("mlp.c_fc", "mlp.c_proj"),
    "opt": ("fc1", "fc2"),
    "llama": ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
    "gemma3_text": ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
    "qwen3": ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
    "mixtral": ("mlp",),
    "qwen2_moe": ("mlp",),
}
NORMS = {
    "gpt2": ("ln_1", "ln_2"),
    "opt": ("self_attn_layer_norm", "final_layer_norm"),
    "llama": ("input_layernorm", "post_attention_layernorm"),
    "gemma3_text": ("post_attention_layernorm", "post_feedforward_layernorm"),
    "qwen3": ("input_layernorm", "post_attention_layernorm"),
    "phi": ("input_layernorm",),
}
ATTENTION = {"gpt2": "attn.c_proj", "opt": "self_attn.out_proj", "gemma3_text": "self_attn.o_proj"}
WRITES = {
    "gpt2": {"mlp.c_proj.weight": 1},
    "llama": {"mlp.down_proj.weight": 0},
    "mixtral": {"mlp.experts.down_proj": 1},
    "qwen2_moe": {"mlp.experts.down_proj": 1, "mlp.shared_expert.down_proj.weight": 0},
}


def parts(found, index=1):
    """Names within a block."""
    return tuple(name.partition(f".{index}.")[2] for name in found if f".{index}." in name)


@pytest.mark.parametrize("architecture", MLP)
def test_linear_layers_of_the_mlp(tiny, architecture):
    assert parts(places.mlp_outputs(tiny(architecture, 0))) == MLP[architecture]


@pytest.mark.parametrize("architecture", NORMS)
def test_norms_in_the_order_in_which_they_run(tiny, architecture):
    model = tiny(architecture, 0)
    found = places.in_order(model, dict(reversed(places.norm_outputs(model).items())))
    assert parts(found) == NORMS[architecture]
    assert next(iter(found)).partition(".0.")[2] == NORMS[architecture][0]


@pytest.mark.parametrize("architecture", ATTENTION)
def test_attention(tiny, architecture):
    """Of grouped queries, too, every query head has an output."""
    model = tiny(architecture, 0)
    assert parts(places.attention_outputs(model)) == (ATTENTION[architecture],)
    found = places.head_outputs(model)
    with torch.no_grad(), watching(model, found) as seen:
        model(input_ids=torch.tensor([[3, 4, 5]]))
    heads = places.heads(model)
    assert heads == 2
    for name, states in seen.items():
        assert states.shape[-1] == places.in_features(model, name)
        assert states.shape[-1] % heads == 0


@pytest.mark.parametrize("architecture", WRITES)
def test_what_the_mlp_writes_through(tiny, architecture):
    found = places.written_by(tiny(architecture, 0), 1)
    assert {name.partition(".1.")[2]: axis for name, axis in found.items()} == WRITES[architecture]


def test_lengths(tiny):
    model = tiny("gpt2", 0)
    assert places.count(model) == 2
    assert places.width(model) == 16
    assert places.out_features(model, "transformer.h.0.mlp.c_fc") == 64
    assert places.in_features(model, "transformer.h.0.mlp.c_fc") == 16
    assert places.out_features(tiny("mixtral", 0), "model.layers.0.mlp") == 16
