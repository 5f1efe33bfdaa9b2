"""The detoxified model as a causal LM."""

from __future__ import annotations

import pytest
import torch
from transformers import GenerationMixin, PreTrainedModel

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.sampling import Sampling, generate
from detoxbench.core.sampling.engine import Request
from detoxbench.methods import lm as lm_module
from detoxbench.methods import load_detoxified
from detoxbench.methods.lm import DetoxifiedLM


def test_none_is_the_base_model(tiny, tmp_path):
    base = tiny("gpt2", 0)
    assert load_detoxified(base) is base
    base.save_pretrained(tmp_path / "base")
    ids = torch.tensor([[3, 4]])
    torch.testing.assert_close(load_detoxified(str(tmp_path / "base"))(ids).logits, base(ids).logits)


def test_is_a_causal_lm(tiny, detoxified):
    lm = detoxified("gpt2", "dexperts")
    assert isinstance(lm, PreTrainedModel)
    assert isinstance(lm, GenerationMixin)
    assert lm.config is tiny("gpt2", 0).config
    assert lm.device.type == "cpu"
    assert lm.get_input_embeddings() is tiny("gpt2", 0).get_input_embeddings()
    assert not any(module.training for module in lm.modules())
    lm.tie_weights()
    with pytest.raises(DetoxbenchError, match=r"save the base model"):
        lm.save_pretrained("anywhere")


def test_kept_positions(detoxified):
    lm = detoxified("opt", "goodtriever")
    ids = torch.tensor([[3, 4, 5, 6, 7]])
    full = lm(ids).logits
    torch.testing.assert_close(lm(ids, logits_to_keep=2).logits, full[:, -2:], atol=1e-5, rtol=1e-5)
    at = torch.tensor([0, 3])
    torch.testing.assert_close(lm(ids, logits_to_keep=at).logits, full[:, at], atol=1e-5, rtol=1e-5)
    prefixed = detoxified("bloom", "self_debias")
    torch.testing.assert_close(
        prefixed(ids, logits_to_keep=at).logits, prefixed(ids).logits[:, at], atol=1e-5, rtol=1e-5
    )


def test_many_positions_in_parts(detoxified, monkeypatch):
    lm = detoxified("gpt2", "goodtriever")
    ids = torch.randint(1, 60, (3, 11), generator=torch.Generator().manual_seed(0))
    whole = lm(ids).logits
    monkeypatch.setattr(lm_module, "BLOCK", 61 * 4)
    torch.testing.assert_close(lm(ids).logits, whole)


def test_labels_and_tuple(detoxified):
    lm = detoxified("gpt2", "rectification")
    ids = torch.tensor([[3, 4, 5, 6]])
    labels = torch.tensor([[-100, -100, 5, 6]])
    log = lm(ids).logits.log_softmax(-1)
    assert float(lm(ids, labels=labels).loss) == pytest.approx(-float(log[0, 1, 5] + log[0, 2, 6]) / 2, rel=1e-5)
    assert torch.equal(lm(ids, return_dict=False)[0], lm(ids).logits)


def test_right_padding_and_no_mask(detoxified, same_scores):
    lm = detoxified("gpt2", "self_debias")
    alone = lm(torch.tensor([[3, 4, 5]])).logits[0]
    padded = lm(torch.tensor([[3, 4, 5, 0, 0]]), torch.tensor([[1, 1, 1, 0, 0]])).logits[0, :3]
    same_scores(padded, alone)
    cache = lm(torch.tensor([[3, 4]]), use_cache=True).past_key_values
    same_scores(lm(torch.tensor([[5]]), past_key_values=cache).logits[0], alone[2:])


def test_no_hidden_top_k(new_tiny):
    """transformers' own default is a top-k of 50; nothing of the kind happens here."""
    base = new_tiny("gpt2", 0, vocab_size=400)
    base.lm_head.weight.data.zero_()  # a uniform next token
    lm = load_detoxified(base, "dexperts", antiexpert=base, filter_p=0.0)
    ids = torch.tensor([[3]])
    torch.manual_seed(0)
    theirs = lm.generate(ids, do_sample=True, max_new_tokens=1, num_return_sequences=400, pad_token_id=0)[:, -1]
    ours = generate(lm, [Request([3], 1, range(400))], Sampling(max_new_tokens=1, top_p=1.0), eos=[])
    assert len(set(theirs.tolist())) > 200
    assert len({tokens[0] for tokens in ours[0]}) > 200


def test_filtering_is_a_switch(tiny, artifacts):
    given = artifacts("gpt2", "goodtriever")
    lm = load_detoxified(tiny("gpt2", 0), "goodtriever", **given)
    ids = torch.tensor([[3, 4, 5]])
    assert lm.truncates
    assert lm(ids).logits.isneginf().any()
    lm.filtering = False
    assert not lm.truncates
    assert not lm(ids).logits.isneginf().any()
    off = load_detoxified(tiny("gpt2", 0), "goodtriever", filtering=False, **given)
    assert torch.equal(off(ids).logits, lm(ids).logits)
    assert not load_detoxified(tiny("gpt2", 0), "goodtriever", **{**given, "filter_p": 0}).truncates


def test_errors(detoxified, tmp_path):
    lm = detoxified("gpt2", "dexperts")
    with pytest.raises(DetoxbenchError, match=r"did you mean 'goodtriever'"):
        load_detoxified("anything", "godtriever")
    with pytest.raises(DetoxbenchError, match=r"base model '.*gone' cannot be loaded"):
        load_detoxified(str(tmp_path / "gone"))
    with pytest.raises(DetoxbenchError, match=r"reads input_ids"):
        lm(inputs_embeds=torch.zeros(1, 2, 16))
    with pytest.raises(DetoxbenchError, match=r"\[1, 5\]; it must be .* \[1, 2\]"):
        lm(torch.tensor([[3, 4]]), torch.ones(1, 5))
    assert isinstance(lm, DetoxifiedLM)
