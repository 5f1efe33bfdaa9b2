"""Telling models apart, whatever their precision."""

from __future__ import annotations

import pytest
import torch

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods.identity import ModelIdentity
from detoxbench.methods.loading import same_vocabulary


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_same_model_in_another_precision(new_tiny, dtype):
    stored = ModelIdentity.of(new_tiny("gpt2", 0))
    assert stored.difference(ModelIdentity.of(new_tiny("gpt2", 0).to(dtype))) is None
    assert "other weights" in stored.difference(ModelIdentity.of(new_tiny("gpt2", 1).to(dtype)))


def test_a_fine_tuned_copy_is_another_model(new_tiny):
    stored = ModelIdentity.of(new_tiny("gpt2", 0))
    tuned = new_tiny("gpt2", 0)
    for parameter in tuned.parameters():
        parameter.data.mul_(1.0001)
    assert "other weights" in stored.difference(ModelIdentity.of(tuned))


def test_names_alone():
    assert ModelIdentity.of("a/gpt2").difference(ModelIdentity.of("b/gpt2/")) is None
    assert ModelIdentity.of("gpt2").difference(ModelIdentity.of("gpt2-large")) == "'gpt2' instead of 'gpt2-large'"


def test_json_round_trip(tiny):
    identity = ModelIdentity.of(tiny("gpt2", 0))
    assert ModelIdentity.model_validate_json(identity.model_dump_json()) == identity


def test_other_tokens_of_the_same_number(new_tiny, tmp_path):
    """Two vocabularies of one size are not one vocabulary."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    loaded = []
    for name, order in (("a", range(61)), ("b", range(61)), ("c", reversed(range(61)))):
        vocab = {f"w{word}": at for at, word in enumerate(order)}
        tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="w0"))
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="w0").save_pretrained(tmp_path / name)
        model = new_tiny("gpt2", 0)
        model.config.name_or_path = model.name_or_path = str(tmp_path / name)
        loaded.append(model)
    same_vocabulary(loaded[0], loaded[1], "expert")
    with pytest.raises(DetoxbenchError, match=r"tokenizers disagree on the id of 'w"):
        same_vocabulary(loaded[0], loaded[2], "expert")
