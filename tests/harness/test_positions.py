"""How long a text may be: RoBERTa's kind spends the first rows of its table of positions on padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lm_eval.api.instance import Instance
from tiny_configs import POSITIONS, small
from tiny_tokenizers import sentencepiece
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from detoxbench.core import fluency
from detoxbench.core.scorers.classifier import window_of
from detoxbench.core.transformers_private import usable_positions
from detoxbench.harness.model import DetoxLM
from detoxbench.methods.training import work

PADDED = ("camembert", "data2vec-text", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod")
CAUSAL = (*PADDED, "bert", "gpt2", "opt", "bart", "biogpt", "ctrl", "gpt_neo", "gpt_neox", "llama", "xglm")
ENCODERS = (*PADDED, "ibert", "mpnet", "longformer", "bert", "distilbert", "electra", "albert", "deberta-v2")


def fails(model, length):
    ids = torch.full((1, length), 5)
    with torch.inference_mode():
        try:
            model(input_ids=ids, attention_mask=torch.ones_like(ids))
        except (IndexError, RuntimeError, ValueError):
            return True
    return False


@pytest.mark.parametrize("kind", CAUSAL)
def test_causal_models_read_as_many_tokens_as_are_said_to_be_usable(kind):
    model = AutoModelForCausalLM.from_config(small(kind)).eval()
    usable = usable_positions(model)
    assert usable == (POSITIONS - model.config.pad_token_id - 1 if kind in PADDED else POSITIONS)
    assert not fails(model, usable)
    if kind in PADDED:
        assert fails(model, usable + 1)
        assert work.max_positions(model) == work.max_positions(model, 10**6) == usable
        assert work.max_positions(model, 7) == 7


@pytest.mark.parametrize("kind", ENCODERS)
def test_classifiers_too(kind):
    config = AutoConfig.for_model(kind, max_position_embeddings=40, hidden_size=16, num_hidden_layers=1, vocab_size=67,
                                  num_attention_heads=2, intermediate_size=16, pad_token_id=1, dim=16, n_heads=2,
                                  n_layers=1, hidden_dim=16, embedding_size=16, attention_window=8)  # fmt: skip
    config = type(config)(**{**config.to_dict(), **({"languages": ["en_XX"], "default_language": "en_XX"}
                                                   if kind == "xmod" else {})})  # fmt: skip
    model = AutoModelForSequenceClassification.from_config(config).eval()
    usable = usable_positions(model)
    assert usable == (38 if kind in (*PADDED, "ibert", "mpnet", "longformer") else 40)
    assert window_of(model, sentencepiece()) == usable
    assert not fails(model, usable if kind != "longformer" else 32)


def test_a_detoxified_model_of_that_kind(tmp_path):
    tokenizer = sentencepiece()
    for seed, name in enumerate(("base", "expert", "antiexpert")):
        torch.manual_seed(seed)
        config = small("roberta")
        config.vocab_size, config.pad_token_id = len(tokenizer), 3
        config.bos_token_id, config.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
        AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
    experts = {"expert": str(tmp_path / "expert"), "antiexpert": str(tmp_path / "antiexpert")}
    long = "so what, voters, even the games " * 30
    settings = {"do_sample": False, "max_gen_toks": 6, "until": []}
    for method, arguments in (("none", {}), ("none", {"max_length": POSITIONS}), ("dexperts", experts)):
        model = DetoxLM(str(tmp_path / "base"), method, device="cpu", **arguments)
        assert model.max_length == POSITIONS - 4
        asked = [Instance("generate_until", {}, (text, settings), place) for place, text in enumerate([long, "so"])]
        assert len(model.generate_until(asked, disable_tqdm=True)) == 2
        ((value, _),) = model.loglikelihood([Instance("loglikelihood", {}, (long, " what"), 0)], disable_tqdm=True)
        assert np.isfinite(value)
    assert DetoxLM(str(tmp_path / "base"), device="cpu", max_length=20).max_length == 20
    nll, tokens = fluency.load(str(tmp_path / "base")).score([long], [long])
    assert np.isfinite(nll).all()
    assert tokens[0] > 0
