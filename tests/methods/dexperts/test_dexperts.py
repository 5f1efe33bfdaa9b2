"""DExperts against the published code, by hand, and its errors."""

from __future__ import annotations

import pytest
import torch
from transformers.cache_utils import DynamicCache

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods import artifacts, load_detoxified
from detoxbench.methods.dexperts.method import ensemble
from detoxbench.methods.guidance.nucleus import top_p
from detoxbench.methods.rectification.value_model import ValueModel


def test_golden(golden, next_scores, same_scores):
    reference = golden("dexperts")
    folder = reference.folder
    base, expert, antiexpert = (load_detoxified(str(folder / name)) for name in ("base", "expert", "antiexpert"))
    for cases in reference.grouped():
        settings = {name: cases[0][name] for name in ("alpha", "filter_p")}
        lm = load_detoxified(base, "dexperts", expert=expert, antiexpert=antiexpert, **settings)
        wanted = torch.cat([reference[case["key"]] for case in cases]).log_softmax(-1)
        for found in next_scores(lm, reference.prompts).values():
            same_scores(found.log_softmax(-1), wanted)


def test_by_hand():
    z = torch.tensor([[0.6, 0.3, 0.1]]).log()
    expert, antiexpert = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[0.0, 4.0, 0.0]])
    found = ensemble(z, expert, antiexpert, alpha=0.5, filter_p=0.8)
    wanted = torch.tensor([[z[0, 0] + 0.5, z[0, 1] - 1.0, -torch.inf]])
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("missing", ["expert", "antiexpert"])
def test_the_missing_model_is_the_unfiltered_base(missing):
    z, other = torch.randn(3, 30), torch.randn(3, 30)
    given = {"expert": other, "antiexpert": other, missing: None}
    sign = 1.0 if missing == "antiexpert" else -1.0
    found = ensemble(z, **given, alpha=2.0, filter_p=0.7)
    torch.testing.assert_close(found, top_p(z, 0.7) + sign * 2.0 * (other - z))


def test_alpha_zero_is_the_filtered_base(tiny):
    ids = torch.tensor([[3, 4, 5]])
    base = tiny("gpt2", 0)
    lm = load_detoxified(base, "dexperts", expert=tiny("gpt2", 1), alpha=0.0, filter_p=0.8)
    with torch.no_grad():
        wanted = top_p(base(ids).logits[0], 0.8)
    torch.testing.assert_close(lm(ids).logits[0], wanted)
    lm.filtering = False
    assert not lm.truncates
    torch.testing.assert_close(lm(ids).logits, base(ids).logits)


def test_ruled_out_tokens_stay_so():
    z, other = torch.randn(2, 9), torch.randn(2, 9)
    z[:, 3] = other[:, 3] = -torch.inf
    assert ensemble(z, other, other, alpha=1.0, filter_p=0.0)[:, 3].isneginf().all()


def test_experts_have_caches_of_their_own(tiny, detoxified):
    """A published re-implementation hands the base model's cache to the experts."""
    lm = detoxified("gpt2", "dexperts")
    cache = lm(torch.tensor([[3, 4, 5]]), use_cache=True).past_key_values
    keys = [cache.streams[name].layers[0].keys for name in ("base", "expert", "antiexpert")]
    assert not torch.allclose(keys[0], keys[1])
    assert not torch.allclose(keys[1], keys[2])
    plain = DynamicCache(config=lm.config)
    tiny("gpt2", 0)(torch.tensor([[3, 4]]), past_key_values=plain, use_cache=True)
    with pytest.raises(DetoxbenchError, match=r"base model's keys and values alone"):
        lm(torch.tensor([[5]]), past_key_values=plain)


def test_errors(tiny, new_tiny, tmp_path):
    base = tiny("gpt2", 0)
    with pytest.raises(DetoxbenchError, match=r"expert=.* detoxbench fit dexperts"):
        load_detoxified(base, "dexperts")
    with pytest.raises(DetoxbenchError, match=r"alpha=-1"):
        load_detoxified(base, "dexperts", expert=tiny("gpt2", 1), alpha=-1)
    with pytest.raises(DetoxbenchError, match=r"expert .* one vocabulary, but have 61 and 60 tokens"):
        load_detoxified(base, "dexperts", expert=new_tiny("gpt2", 1, vocab_size=60))
    with pytest.raises(DetoxbenchError, match=r"antiexpert '.*nowhere' cannot be loaded"):
        load_detoxified(base, "dexperts", antiexpert=str(tmp_path / "nowhere"))
    with pytest.raises(DetoxbenchError, match=r"did you mean 'expert'"):
        load_detoxified(base, "dexperts", exper="x")


def test_corrupted_expert(new_tiny, tmp_path):
    folder = tmp_path / "expert"
    new_tiny("gpt2", 1).save_pretrained(folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(DetoxbenchError, match=r"expert '.*expert' cannot be loaded"):
        load_detoxified(new_tiny("gpt2", 0), "dexperts", expert=str(folder))


def test_folders_that_are_no_causal_lm(tiny, new_tiny, tmp_path):
    """transformers would give each a random head."""
    base = tiny("gpt2", 0)
    ValueModel.from_causal_lm(base).save(tmp_path / "value")
    with pytest.raises(DetoxbenchError, match=r"expert '.*value' holds a value model, not a causal LM"):
        load_detoxified(base, "dexperts", expert=str(tmp_path / "value"))
    untied = new_tiny("gpt2", 1, tie_word_embeddings=False)
    untied.config.architectures = None
    untied.transformer.save_pretrained(tmp_path / "body")
    with pytest.raises(DetoxbenchError, match=r"expert '.*body' is no whole causal LM: it lacks lm_head.weight"):
        load_detoxified(base, "dexperts", expert=str(tmp_path / "body"))


def test_expert_with_a_manifest(tiny, new_tiny, tmp_path):
    folder = tmp_path / "expert"
    new_tiny("gpt2", 1).save_pretrained(folder)
    (folder / "manifest.json").write_text('{"made": "by another program"}')
    load_detoxified(tiny("gpt2", 0), "dexperts", expert=str(folder))
    artifacts.write_manifest(folder, "expert")
    load_detoxified(tiny("gpt2", 0), "dexperts", expert=str(folder))
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    with pytest.raises(DetoxbenchError, match=r"config.json is corrupted: its sha256"):
        load_detoxified(tiny("gpt2", 0), "dexperts", expert=str(folder))
