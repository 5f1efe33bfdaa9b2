"""A tokenizer that is not the base model's is refused before the model is loaded."""

from __future__ import annotations

import shutil

import pytest
import torch
from tiny_tokenizers import sentencepiece, word_piece
from transformers import AutoModelForCausalLM, AutoTokenizer, BertConfig, GPT2Config, GPT2LMHeadModel

from detoxbench.core import mini
from detoxbench.core.constants import MINI
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.mini import model_folder
from detoxbench.core.tokenizers import other_ids
from detoxbench.harness.model import DetoxLM
from detoxbench.methods import tokenizer_preflight


def saved(folder, config, tokenizer=None):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    return str(folder)


def gpt2(vocabulary):
    return GPT2Config(n_layer=1, n_embd=8, n_head=2, n_positions=32, vocab_size=vocabulary)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Of the embedded tokenizer's size: with its files, and without any; and two tokenizers of other models."""
    path = tmp_path_factory.mktemp("models")
    own = AutoTokenizer.from_pretrained(model_folder(MINI))
    saved(path / "whole", gpt2(len(own)), own)
    saved(path / "padded", gpt2(len(own) + 300), own)
    bare = BertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, vocab_size=len(own),
        max_position_embeddings=32, is_decoder=True,
    )  # fmt: skip
    saved(path / "bare", bare)
    sentencepiece().save_pretrained(path / "small")
    ids = own.get_vocab()
    content = own.backend_tokenizer.to_str()
    assert len(ids) < 70_000
    (path / "moved").mkdir()
    shutil.copytree(path / "whole", path / "moved", dirs_exist_ok=True)
    _move(path / "moved", content)
    return path


def _move(folder, content):
    """A vocabulary of the same size and tokens in another order, as of another model of its kind."""
    import json

    whole = json.loads(content)
    model = whole["model"]
    if isinstance(model["vocab"], dict):
        names = sorted(model["vocab"], key=model["vocab"].get)
        model["vocab"] = {name: place for place, name in enumerate(reversed(names))}
    else:
        model["vocab"] = list(reversed(model["vocab"]))
    (folder / "tokenizer.json").write_text(json.dumps(whole))


@pytest.fixture
def unloaded(monkeypatch):
    monkeypatch.setattr(DetoxLM, "_create_model", lambda *_, **__: pytest.fail("loaded"))


def refused(message, *arguments, **options):
    with pytest.raises(DetoxbenchError, match=message) as caught:
        DetoxLM(*arguments, device="cpu", **options)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_tokenizer(folders, unloaded):
    refused("model '.*bare': the tokenizer knows [0-9]+ tokens and the model .*: it is another model's, or none; name",
            str(folders / "bare"))  # fmt: skip


def test_another_models(folders, unloaded):
    whole, small, moved = (str(folders / name) for name in ("whole", "small", "moved"))
    refused(f"model '{whole}' with tokenizer='{small}': the tokenizer knows", whole, tokenizer=small)
    refused(f"model 'mini' with tokenizer='{small}'", MINI, tokenizer=small)
    refused(f"model 'mini' with tokenizer='{small}'", MINI, "self_debias", tokenizer=small)
    refused("only [0-9,]+ of its [0-9,]+ tokens have the id", whole, tokenizer=moved)
    refused("only [0-9,]+ of its [0-9,]+ tokens have the id", MINI, tokenizer=moved)
    refused("model 'mini': only", MINI, tokenizer=AutoTokenizer.from_pretrained(moved))


@pytest.mark.parametrize("name", ["/nowhere", "no-such-owner/no-such-tokenizer", "  "])
def test_one_that_is_not_there(folders, unloaded, name):
    refused(f"tokenizer='{name}' cannot be loaded: ", str(folders / "whole"), tokenizer=name)


def test_what_fits_is_let_pass(folders):
    own = str(mini.MODEL)
    tokenizer_preflight.check(MINI)
    tokenizer_preflight.check(MINI, own)
    tokenizer_preflight.check(str(folders / "whole"), MINI)
    tokenizer_preflight.check(str(folders / "whole"), "")
    tokenizer_preflight.check(str(folders / "padded"))
    # Where the model has none of its own there is nothing to compare the chosen one with.
    tokenizer_preflight.check(str(folders / "bare"), own)
    tokenizer_preflight.check("owner/name", own)
    tokenizer_preflight.check("owner/name")
    tokenizer_preflight.check(str(folders / "bare"), gguf_file="x.gguf")
    assert DetoxLM(str(folders / "bare"), device="cpu", tokenizer=own).tok_encode("You")


def test_a_model_that_is_loaded_already(folders):
    model = GPT2LMHeadModel.from_pretrained(folders / "whole")
    refused("model '.*whole': the tokenizer knows", model, tokenizer=AutoTokenizer.from_pretrained(folders / "small"))
    assert DetoxLM(model, device="cpu", tokenizer=AutoTokenizer.from_pretrained(folders / "whole")).tok_encode("You")


def test_a_few_tokens_more_are_the_same_tokenizer():
    own, more = word_piece(), word_piece()
    assert other_ids(more, own) is None
    more.add_tokens(["<|im_start|>", "<|im_end|>"])
    assert other_ids(more, own) is None
    assert other_ids(own, more) is None
    assert other_ids(sentencepiece(), own).startswith("only ")
