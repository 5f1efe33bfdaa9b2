"""What every method must do on every architecture."""

from __future__ import annotations

import pytest
import torch
from tiny_models import ACTIVATION, ARCHITECTURES, METHODS, NEWER

from detoxbench.core.sampling import Sampling, generate
from detoxbench.core.sampling.engine import Request
from detoxbench.methods import load_detoxified

PROMPTS = [[7, 8, 9], [1, 2, 3, 4, 5, 6, 7, 8], [11, 12, 13, 14, 15]]

pytestmark = pytest.mark.parametrize("method", METHODS)


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, *NEWER])
def test_cache_and_batch_change_nothing(detoxified, pad, same_scores, architecture, method):
    """Scores of a prompt alone, in a left-padded batch, and token by token through the cache are the same."""
    if architecture in NEWER and method not in ACTIVATION:
        pytest.skip("the architectures of logit methods are ARCHITECTURES")
    lm = detoxified(architecture, method)
    ids, mask = pad(PROMPTS, extra=2)
    full = lm(ids, mask).logits
    assert full.shape == (3, ids.shape[1], lm.config.vocab_size)
    assert full.dtype == torch.float32
    for row, prompt in enumerate(PROMPTS):
        same_scores(full[row, -len(prompt) :], lm(torch.tensor([prompt])).logits[0])
    cache = None
    for start, end in ((0, 4), (4, 7), (7, 8), (8, 9), (9, 10)):
        output = lm(ids[:, start:end], mask[:, :end], past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        assert cache.get_seq_length() == end
        for row, prompt in enumerate(PROMPTS):
            real = max(start, ids.shape[1] - len(prompt))
            if real < end:
                same_scores(output.logits[row, real - start :], full[row, real:end])


@pytest.mark.parametrize("architecture", ["gpt2", "bloom", "gemma2"])
def test_generate_of_both_engines(detoxified, pad, architecture, method):
    """transformers' greedy search, ours, and recomputing everything at each token agree."""
    lm = detoxified(architecture, method)
    ids, mask = pad(PROMPTS)
    theirs = lm.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=6, eos_token_id=None, pad_token_id=0)
    requests = [Request(prompt, row, [0, 1]) for row, prompt in enumerate(PROMPTS)]
    ours = generate(lm, requests, Sampling(max_new_tokens=6, do_sample=False), eos=[])
    for row, prompt in enumerate(PROMPTS):
        text = list(prompt)
        for _ in range(6):
            text.append(int(lm(torch.tensor([text])).logits[0, -1].argmax()))
        assert theirs[row, -6:].tolist() == text[-6:]
        assert ours[row] == [text[-6:]] * 2


def test_sampling_does_not_depend_on_the_batch(detoxified, method):
    lm = detoxified("gpt2", method)
    requests = [Request(prompt, 100 + row, range(4)) for row, prompt in enumerate(PROMPTS)]
    sampling = Sampling(max_new_tokens=8, top_p=1.0 if lm.truncates else 0.9)
    together = generate(lm, requests, sampling, eos=[0])
    apart = [generate(lm, [request], sampling, eos=[0])[0] for request in requests]  # fewer prompts than a batch
    assert together == apart
    assert len({tuple(tokens) for output in together for tokens in output}) > 6


def test_transformers_sampling_and_beams(detoxified, pad, method):
    lm = detoxified("llama", method)
    ids, mask = pad(PROMPTS)
    options = {"attention_mask": mask, "max_new_tokens": 5, "pad_token_id": 0, "eos_token_id": None}
    torch.manual_seed(0)
    samples = lm.generate(ids, do_sample=True, top_p=0.9, num_return_sequences=4, **options)
    assert samples.shape == (12, ids.shape[1] + 5)
    beams = lm.generate(ids, num_beams=3, **options)
    for row, prompt in enumerate(PROMPTS):
        alone = lm.generate(torch.tensor([prompt]), num_beams=3, **{**options, "attention_mask": None})
        assert beams[row, -5:].tolist() == alone[0, -5:].tolist()


def test_prompts_repeat_through_one_prefill(detoxified, pad, method):
    """A cache expanded, selected from and cropped is that of the rows themselves."""
    lm = detoxified("gpt2", method)
    ids, mask = pad(PROMPTS)
    cache = lm(ids, mask, use_cache=True).past_key_values
    cache.batch_repeat_interleave(2)
    rows = torch.tensor([5, 0, 3])
    cache.batch_select_indices(rows)
    cache.reorder_cache(torch.tensor([2, 1, 0]))
    cache.crop(-1)
    owner = (rows // 2).flip(0)
    again = lm(ids[owner, -1:], mask[owner], past_key_values=cache).logits[:, -1]
    torch.testing.assert_close(again, lm(ids, mask).logits[owner, -1], atol=1e-4, rtol=1e-4)


def test_half_precision(tiny, artifacts, new_tiny, method):
    base = new_tiny("gpt2", 0).to(torch.bfloat16)
    given = artifacts("gpt2", method)
    if method == "dexperts":
        given = {**given, "expert": new_tiny("gpt2", 1).bfloat16(), "antiexpert": new_tiny("gpt2", 2).bfloat16()}
    lm = load_detoxified(base, method, filtering=False, **given)
    ids = torch.tensor([[3, 4, 5, 6]])
    found = lm(ids).logits
    assert found.dtype == torch.float32
    exact = load_detoxified(tiny("gpt2", 0), method, filtering=False, **given)(ids).logits
    likely = exact.log_softmax(-1) > -6
    difference = (found.log_softmax(-1) - exact.log_softmax(-1)).abs()[likely]
    assert float(difference.mean()) < 0.15
    assert lm.generate(ids, do_sample=True, max_new_tokens=4, pad_token_id=0).shape[1] <= 8


def test_device_map_auto(new_tiny, artifacts, tiny, method, tmp_path):
    """Also with the last block on the disk, as accelerate does where memory is short."""
    new_tiny("gpt2", 0).save_pretrained(tmp_path / "base")
    ids = torch.tensor([[3, 4, 5, 6]])
    wanted = load_detoxified(tiny("gpt2", 0), method, **artifacts("gpt2", method))(ids).logits
    parts = ("wte", "wpe", "h.0", "ln_f")
    spread = {**{f"transformer.{part}": "cpu" for part in parts}, "transformer.h.1": "disk", "lm_head": "cpu"}
    for device_map, more in (("auto", {}), (spread, {"offload_folder": str(tmp_path / "offload")})):
        model_args = {"device_map": device_map, **more}
        lm = load_detoxified(str(tmp_path / "base"), method, model_args=model_args, **artifacts("gpt2", method))
        torch.testing.assert_close(lm(ids).logits, wanted, atol=1e-5, rtol=1e-5)
        assert lm.generate(ids, do_sample=False, max_new_tokens=3, eos_token_id=None, pad_token_id=0).shape[1] == 7
