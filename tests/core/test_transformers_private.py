"""What we touch of transformers' private parts is still there, and does what we take it to do."""

from __future__ import annotations

import inspect

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, MistralConfig
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from detoxbench.core import transformers_private as private
from detoxbench.core.sampling.cache import GrowingLayer, new_cache

IDS = torch.tensor([[5, 6, 7]])
SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 20,
         "num_key_value_heads": 1}  # fmt: skip


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gpt_neox", "opt", "bloom", "qwen2", "gemma2", "mistral"])
def test_every_forward_takes_a_cache_by_a_name_that_we_know(kind):
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    family = MODEL_FOR_CAUSAL_LM_MAPPING[type(AutoConfig.for_model(kind))]
    names = frozenset(inspect.signature(family.forward).parameters)
    (name,) = private.cache_argument(names, None)
    assert name in names
    assert ("position_ids" in names) == (kind != "bloom")


def test_outputs_hold_the_cache_without_a_warning(model, caplog, recwarn):
    cache = new_cache(model.config)
    output = model(IDS, use_cache=True, **private.cache_argument(private.accepted(model), cache))
    assert private.cache_of(output) is cache
    made = private.causal_output(output.logits, cache)
    assert private.cache_of(made) is cache
    assert made.logits is output.logits
    assert not [warning for warning in recwarn if "past_key_values" in str(warning.message)]
    assert "past_key_values" not in caplog.text


def test_layers_are_replaced_now_and_later():
    plain = new_cache(GPT2Config(n_layer=2, n_embd=16, n_head=2, vocab_size=20))
    assert plain.layers or plain.layer_class_to_replicate is GrowingLayer
    assert all(type(layer) is GrowingLayer for layer in plain.layers)
    later = private.use_layers(DynamicCache(), GrowingLayer)
    later.update(torch.zeros(1, 1, 2, 4), torch.zeros(1, 1, 2, 4), 0)
    assert type(later.layers[0]) is GrowingLayer
    sliding = new_cache(MistralConfig(**SHAPE, sliding_window=8))
    assert all(type(layer) is DynamicSlidingWindowLayer for layer in sliding.layers)
    assert issubclass(GrowingLayer, DynamicLayer)


def test_a_config_remembers_its_attention():
    model = AutoModelForCausalLM.from_config(
        GPT2Config(n_layer=1, n_embd=16, n_head=2, vocab_size=20), attn_implementation="eager"
    )
    choices = private.attention_choices(model.config)
    assert choices["_attn_implementation_internal"] == "eager"
    model.config._attn_implementation = "sdpa"
    private.restore_attention(model.config, choices)
    assert model.config._attn_implementation == "eager"


def test_a_folder_has_no_commit(model, tmp_path):
    model.save_pretrained(tmp_path)
    assert private.commit(GPT2LMHeadModel.from_pretrained(tmp_path)) is None
    assert private.commit(model) is None
