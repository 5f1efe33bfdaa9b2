"""Likelihood of continuations, also where prompt and continuation are longer than the model takes."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from detoxbench.core import fluency, likelihood
from detoxbench.core.errors import DetoxbenchError

LIMIT = 128
PROMPT = "The neighbour said that the weather was good and that"


@pytest.fixture(scope="module")
def model():
    return fluency.load("mini")


def test_a_likelihood_is_of_the_continuation_alone(model):
    (nll,), (tokens,) = model.score([PROMPT], [" it was late."])
    assert tokens > 0
    assert nll > 0
    again, _ = model.score([PROMPT, "Another", PROMPT], [" it was late.", " one", ""])
    assert again[0] == pytest.approx(nll, rel=1e-5)
    assert np.isnan(again[2])  # nothing was added


def test_a_prompt_that_is_cut_counts_from_where_it_is_cut(model):
    """The continuation of a long prompt is as likely as after the end of it that the model sees."""
    tokenizer, _ = model._loaded
    long = " ".join([PROMPT] * 30)
    continuation = " it was late."
    (nll,), (tokens,) = model.score([long], [continuation])
    ids = tokenizer(long)["input_ids"]
    seen = tokenizer.decode(ids[len(ids) - (LIMIT - tokens) :])
    assert len(tokenizer(seen)["input_ids"]) == LIMIT - tokens
    (expected,), (same,) = model.score([seen], [continuation])
    assert (same, nll) == (tokens, pytest.approx(expected, rel=1e-4))


def test_a_continuation_longer_than_the_model_takes(model):
    (nll,), (tokens,) = model.score(["The"], [" ".join([PROMPT] * 30)])
    assert tokens == LIMIT - 1
    assert 0 < nll / tokens < 20


def test_nothing():
    assert [len(column) for column in fluency.load("mini").score([], [])] == [0, 0]


def bytes_tokenizer(specials, template=None, merges=()):
    """Byte-level, as GPT-2's and Qwen's; with a template that puts BOS in front, as Llama's and Gemma's do."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {piece: at for at, piece in enumerate([*specials, *alphabet, *("".join(pair) for pair in merges)])}
    core = Tokenizer(models.BPE(vocab=vocab, merges=list(merges)))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    if template:
        core.post_processor = processors.TemplateProcessing(single=template, special_tokens=[(specials[0], 0)])
    return core


MERGES = [("h", "e"), ("d", "o"), ("do", "g"), ("g", "y"), ("Ġ", "do")]
KINDS = {
    "gpt2": (GPT2Config, {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64}, ["<eos>"], None, "<eos>"),
    "llama": (LlamaConfig, {}, ["<bos>", "<eos>"], "<bos> $A", "<bos>"),
    "gemma3": (Gemma3TextConfig, {"head_dim": 8}, ["<bos>", "<eos>"], "<bos> $A", "<bos>"),
    "qwen3": (Qwen3Config, {"head_dim": 8}, ["<eos>"], None, None),
}
SMALL = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 1, "max_position_embeddings": 64,
}  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def judge(request, tmp_path_factory):
    """A random model of a kind with a tokenizer like its own, and the token that begins every text."""
    config, settings, specials, template, bos = KINDS[request.param]
    core = bytes_tokenizer(specials, template, MERGES)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<eos>", bos_token=bos)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(
        config(vocab_size=len(tokenizer), **(settings if request.param == "gpt2" else {**SMALL, **settings}))
    )
    folder = tmp_path_factory.mktemp(request.param)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return fluency.FluencyModel(str(folder), "cpu"), tokenizer, model.eval(), bool(template)


def plain(model, tokens, first):
    """What transformers alone gives: the mean loss over the tokens from ``first`` on, times their number."""
    ids = torch.tensor([tokens])
    labels = ids.clone()
    labels[:, :first] = -100
    with torch.inference_mode():
        return model(input_ids=ids, labels=labels).loss.item() * (len(tokens) - first)


@pytest.mark.parametrize("prompt", ["The weather", "ولا أحد في", "東京は"])
def test_as_plain_transformers_computes_it(judge, prompt):
    ours, tokenizer, model, begins = judge
    whole, head = tokenizer(prompt + " was good")["input_ids"], tokenizer(prompt)["input_ids"]
    assert (whole.count(0) if begins else 1) == 1  # BOS once
    (nll,), (tokens,) = ours.score([prompt], [" was good"])
    assert tokens == len(whole) - len(head)
    assert nll == pytest.approx(plain(model, whole, len(head)), rel=1e-5)


def test_a_text_without_a_prompt_follows_bos(judge):
    ours, tokenizer, model, _begins = judge
    ids = tokenizer("good", add_special_tokens=False)["input_ids"]
    (nll,), (tokens,) = ours.score([""], ["good"])
    if tokenizer.bos_token_id is None:
        # Nothing comes before the first token: it is left out of the count, not free.
        assert tokens == len(ids) - 1
        assert nll == pytest.approx(plain(model, ids, 1), rel=1e-5)
    else:
        assert tokens == len(ids)
        assert nll == pytest.approx(plain(model, [tokenizer.bos_token_id, *ids], 1), rel=1e-5)


def test_one_token_without_any_context_is_not_measured(judge):
    ours, tokenizer, _, _ = judge
    (nll,), (tokens,) = ours.score([""], ["g"])
    if tokenizer.bos_token_id is None:
        assert (tokens, np.isnan(nll)) == (0, True)
    else:
        assert tokens == 1
        assert nll > 0


def test_a_prompt_that_merges_with_the_continuation(judge):
    """``The d`` and ``og`` are ``The``, a space and ``dog``: the likelihood is that of what is not shared."""
    ours, tokenizer, model, _begins = judge
    whole = tokenizer("The dog")["input_ids"]
    assert tokenizer("The d")["input_ids"] != whole[: len(tokenizer("The d")["input_ids"])]
    shared = len(tokenizer("The ")["input_ids"])
    (nll,), (tokens,) = ours.score(["The d"], ["og"])
    assert tokens == len(whole) - shared > 0
    assert nll == pytest.approx(plain(model, whole, shared), rel=1e-5)


def test_results_do_not_depend_on_the_batch(judge):
    ours = judge[0]
    prompts = ["The weather", "", "He said that it was", "東京は"] * 3
    continuations = [" was good today", "good", "", "晴れ"] * 3
    together, counted = ours.score(prompts, continuations)
    alone = [ours.score([p], [c]) for p, c in zip(prompts, continuations, strict=True)]
    np.testing.assert_allclose(together, [nll[0] for nll, _ in alone], rtol=1e-5)
    assert list(counted) == [tokens[0] for _, tokens in alone]


def test_continuations_of_one_prompt_share_its_prefill(judge, monkeypatch):
    """Each prompt is read once a batch, and the likelihoods are those of rows that are read whole."""
    ours = judge[0]
    prompts = [one for one in ("The weather", "He said that it was", "東京は") for _ in range(4)]
    continuations = [" was good today", " bad", "晴れ", " was not what he had hoped"] * 3
    read = [0]

    def count(_module, _args, given):
        read[0] += given["input_ids"].numel()

    handle = ours._loaded[1].register_forward_pre_hook(count, with_kwargs=True)
    together, counted = ours.score(prompts, continuations)
    with_sharing, read[0] = read[0], 0
    monkeypatch.setattr(likelihood, "shared_contexts", lambda model, rows: [0] * len(rows))
    each, same = ours.score(prompts, continuations)
    handle.remove()
    assert with_sharing < read[0]
    np.testing.assert_allclose(together, each, rtol=1e-5)
    assert list(counted) == list(same)


def test_contexts_beyond_a_window_are_not_shared():
    """What has left a sliding window is not in its cache."""
    rows = [likelihood.Row(list(range(20)), 12), likelihood.Row(list(range(24)), 12)]
    config = Gemma3TextConfig(vocab_size=32, **{**SMALL, "head_dim": 8})
    for window, expected in ((64, [11, 11]), (20, [0, 0]), (24, [11, 11])):
        config.sliding_window = window
        assert likelihood.shared_contexts(AutoModelForCausalLM.from_config(config), rows) == expected


def test_what_does_not_fit_is_tried_in_halves(judge, monkeypatch):
    ours = judge[0]
    whole, _ = ours.score(["a", "the", "He"] * 4, [" dog", " was", " said it"] * 4)
    sizes = []

    def scarce(model, rows, device, shared, sums=likelihood._sums):
        sizes.append(len(rows))
        if len(rows) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return sums(model, rows, device, shared)

    monkeypatch.setattr(likelihood, "_sums", scarce)
    monkeypatch.setitem(likelihood.BATCH_TOKENS, "cpu", 12 * len(" said it"))
    halves, _ = ours.score(["a", "the", "He"] * 4, [" dog", " was", " said it"] * 4)
    np.testing.assert_allclose(halves, whole, rtol=1e-5)
    assert max(sizes) > 3
    monkeypatch.setattr(likelihood, "_sums", lambda *given: scarce(*given, sums=None))
    monkeypatch.setattr(likelihood, "_attempt", lambda *given: None)
    with pytest.raises(torch.OutOfMemoryError, match="does not fit"):
        ours.score(["a"], [" dog"])


def test_batches_are_bounded_by_the_bytes_of_their_logits(monkeypatch):
    model = fluency.load("mini")._loaded[1]
    rows = [likelihood.Row(list(range(1, 33)), 12)] * 64
    position = model.config.vocab_size * model.dtype.itemsize
    monkeypatch.setitem(likelihood.LOGIT_BYTES, "cpu", 5 * 20 * position)
    assert likelihood._fitting(model, rows, torch.device("cpu"), 1.0) == 5
    monkeypatch.setitem(likelihood.LOGIT_BYTES, "cpu", 1)
    assert likelihood._fitting(model, rows, torch.device("cpu"), 1.0) == 1


def test_blocks_of_logits_change_nothing(monkeypatch):
    logits = torch.randn(37, 101, generator=torch.Generator().manual_seed(0))
    tokens = torch.arange(37)
    expected = -logits.double().log_softmax(-1)[torch.arange(37), tokens]
    for size in (1, 4 * 101 * 5, 1 << 25):
        monkeypatch.setattr(likelihood, "BLOCK_BYTES", size)
        found = likelihood.negative_log_likelihood(logits, tokens)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_a_folder_is_called_alike_on_two_machines(judge, tmp_path):
    ours = judge[0]
    copy = tmp_path / "elsewhere" / Path(ours.name).name
    shutil.copytree(ours.name, copy)
    assert fluency.FluencyModel(str(copy), "cpu").label == ours.label
    assert str(Path(ours.name).parent) not in ours.label
    assert fluency.load("mini").label == "mini"


@pytest.mark.parametrize("judge", ["llama"], indirect=True)
def test_a_folder_without_a_tokenizer_is_refused(judge, tmp_path):
    """transformers makes one up, to which every text is the same."""
    judge[2].save_pretrained(tmp_path / "bare")
    with pytest.raises(DetoxbenchError, match=r"fluency_model '.*bare'.*token"):
        fluency.FluencyModel(str(tmp_path / "bare"), "cpu").score(["a"], [" b"])
