"""Methods on quantised models: those that change hidden states or scores work, those that change weights cannot."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny_models import METHODS
from torch import nn
from transformers import AutoModelForCausalLM

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.registry import METHODS as REGISTERED
from detoxbench.methods import load_detoxified, quantised
from detoxbench.methods.activation.places import block_outputs, mlp_outputs, out_features
from detoxbench.methods.architecture import block_mlp, mlp_output
from detoxbench.methods.layers import key_layer

IDS = torch.tensor([[3, 4, 5, 6, 9, 2]])
WEIGHTS = [name for name in REGISTERED if REGISTERED[name].kind == "weight"]


class PackedLinear(nn.Module):
    """As GPTQ and AWQ keep a matrix: integers and scales in buffers, no ``weight``."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        scale = linear.weight.detach().abs().amax(1, keepdim=True) / 127
        self.register_buffer("qweight", (linear.weight.detach() / scale).round().to(torch.int32))
        self.register_buffer("scales", scale)
        self.bias = linear.bias

    def forward(self, states):
        return nn.functional.linear(states, (self.qweight * self.scales).to(states.dtype), self.bias)


@pytest.fixture(scope="module")
def packed():
    """``packed(model)``: a copy with packed linear layers, but for the head."""

    def make(model):
        found = copy.deepcopy(model)
        for name, module in list(found.named_modules()):
            if isinstance(module, nn.Linear) and "lm_head" not in name and "embed_out" not in name:
                parent, _, child = name.rpartition(".")
                setattr(found.get_submodule(parent), child, PackedLinear(module))
        found.is_quantized = True
        found.config.quantization_config = {"quant_method": "gptq"}
        return found

    return make


@pytest.mark.parametrize("architecture", ["llama", "gemma3_text", "qwen3"])
def test_parts_are_found_where_matrices_are_packed(tiny, packed, architecture):
    plain, model = tiny(architecture, 0), packed(tiny(architecture, 0))
    assert block_mlp(model) == block_mlp(plain)
    assert key_layer(model) == key_layer(plain)
    assert list(block_outputs(model)) == list(block_outputs(plain))
    assert {name: out_features(model, name) for name in mlp_outputs(model)} == {
        name: out_features(plain, name) for name in mlp_outputs(plain)
    }
    assert mlp_output(plain)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("architecture", ["llama", "gemma3_text", "qwen3"])
def test_hidden_states_and_scores_can_be_changed(tiny, artifacts, packed, architecture, method):
    given = artifacts(architecture, method)
    found = load_detoxified(packed(tiny(architecture, 0)), method, filtering=False, **given)(IDS).logits
    wanted = load_detoxified(tiny(architecture, 0), method, filtering=False, **given)(IDS).logits
    likely = wanted.log_softmax(-1) > -6
    difference = (found.log_softmax(-1) - wanted.log_softmax(-1)).abs()[likely]
    assert float(difference.mean()) < 0.5


@pytest.mark.parametrize("method", WEIGHTS)
def test_weights_cannot(tiny, packed, method, tmp_path):
    model = packed(tiny("llama", 0))
    assert quantised.how(model) == "gptq"
    assert quantised.how(tiny("llama", 0)) is None
    given = {next(iter(REGISTERED[method].Arguments.model_fields)): str(tmp_path)}
    with pytest.raises(DetoxbenchError, match="are packed by gptq: put it on the model that was quantised"):
        load_detoxified(model, method, **given)


WIDE = {"hidden_size": 64, "intermediate_size": 128}
"""What the kernels of four bits need."""


@pytest.mark.parametrize("bits", [4, 8])
def test_bitsandbytes(new_tiny, artifacts, tmp_path, bits):
    pytest.importorskip("bitsandbytes")
    from transformers import BitsAndBytesConfig

    changes = WIDE if bits == 4 else {}
    new_tiny("llama", 0, **changes).save_pretrained(tmp_path)
    settings = BitsAndBytesConfig(load_in_4bit=bits == 4, load_in_8bit=bits == 8)
    options = {"quantization_config": settings, "device_map": "cpu"}
    tried = {
        "self_debias": {"description_ids": [5, 9]}, "toxification_reversal": {"prefix_ids": [5, 9, 2]},
        "dexperts": {"expert": new_tiny("llama", 1, **changes), "antiexpert": new_tiny("llama", 2, **changes)},
    } if bits == 4 else {method: artifacts("llama", method) for method in METHODS}  # fmt: skip
    for method, given in tried.items():
        lm = load_detoxified(str(tmp_path), method, model_args=options, **given)
        assert not lm(IDS).logits.isnan().any()
        assert quantised.how(lm.base) == "bitsandbytes"
    model = AutoModelForCausalLM.from_pretrained(tmp_path, **options)
    with pytest.raises(DetoxbenchError, match="packed by bitsandbytes"):
        load_detoxified(model, "profs", vectors=str(tmp_path))
