"""Texts by transformers' own ``generate`` (beams, penalties) and by lm-eval's ``hf``: decoded after their prompts, from
the sampler's own prompt tokens, whatever the tokenizer and the padding."""

from __future__ import annotations

import re

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from tiny_configs import small
from tiny_tokenizers import TEXTS, sentencepiece, word_piece
from transformers import AutoModelForCausalLM

from detoxbench.core.decoding import continuation
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.lm_eval_decoding import decoding_after_prompts
from detoxbench.harness.model import DetoxLM

PROMPTS = ["so what", "voters, even the games", "so", "voters,"]
WORDS = TEXTS["en"].split() + TEXTS["emoji"].split() + TEXTS["hi"].split()
GREEDY = {"do_sample": False, "max_gen_toks": 5, "until": []}


KINDS = [("sentencepiece", "llama"), ("word piece", "gpt2"), ("sentencepiece", "roberta"), ("sentencepiece", "mamba")]


@pytest.fixture(scope="module", params=KINDS, ids="/".join)
def folder(request, tmp_path_factory):
    tokenizer = {"sentencepiece": sentencepiece, "word piece": word_piece}[request.param[0]]()
    torch.manual_seed(3)
    config = small(request.param[1])
    config.vocab_size = len(tokenizer)
    for name in ("bos", "eos", "pad"):
        setattr(config, f"{name}_token_id", getattr(tokenizer, f"{name}_token_id"))
    model = AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        if parameter.dim() >= 2:
            parameter.data.mul_(3)
    path = tmp_path_factory.mktemp("model")
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def ask(model, prompts=PROMPTS, k=1, task=None, **settings) -> list[str]:
    rows = [
        Instance(request_type="generate_until", doc={}, arguments=(text, {**GREEDY, **settings}), idx=place,
                 metadata=(task, place, k))
        for place, text in enumerate(prompts)
    ]  # fmt: skip
    return model.generate_until([row for row in rows for _ in range(k)], disable_tqdm=True)


def test_greedy_is_the_samplers(folder):
    """A penalty of 1 changes nothing, and goes to transformers."""
    model = DetoxLM(str(folder), device="cpu")
    wanted = ask(model)
    assert ask(model, repetition_penalty=1.0) == wanted
    assert ask(model, repetition_penalty=1.0, k=3) == [text for text in wanted for _ in range(3)]
    assert ask(model, PROMPTS[1:2], repetition_penalty=1.0) == wanted[1:2]


def test_beams_are_transformers_own_decoded_after_the_prompt(folder):
    model = DetoxLM(str(folder), device="cpu")
    tokenizer = model.tokenizer
    if model.config.model_type == "roberta":
        pytest.skip("transformers' own generate counts its positions from 0")
    for prompt, text in zip(PROMPTS, ask(model, num_beams=3), strict=True):
        ids = model.tok_encode(prompt)
        found = model.model.generate(
            torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), num_beams=3, do_sample=False,
            max_new_tokens=5, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )[0, len(ids) :].tolist()  # fmt: skip
        if tokenizer.eos_token_id in found:
            found = found[: found.index(tokenizer.eos_token_id)]
        assert text == continuation(tokenizer, ids, found)


def test_a_stop_string_ends_beams(folder):
    model = DetoxLM(str(folder), device="cpu")
    whole = ask(model, repetition_penalty=1.0, max_gen_toks=8)
    stop = next((letter for text in whole for letter in text.strip()[1:] if letter.isalpha()), None)
    if stop is None:
        pytest.skip("no text of two letters")
    assert ask(model, repetition_penalty=1.0, max_gen_toks=8, until=[stop]) == [text.split(stop)[0] for text in whole]


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"num_return_sequences": 2}, "num_return_sequences=2: give samples"), ({"max_length": 9}, "give max_gen_toks"),
     ({"num_beams": 0}, "refuses num_beams=0"), ({"repetition_penalty": -1.0}, "refuses repetition_penalty=-1.0")],
)  # fmt: skip
def test_wrong_settings_are_one_line(folder, settings, message):
    with pytest.raises(DetoxbenchError, match=message):
        ask(DetoxLM(str(folder), device="cpu"), **settings)


@pytest.mark.parametrize("step", [0, 2])
@pytest.mark.parametrize(
    ("bad", "what"), [(torch.nan, "NaN"), (torch.inf, "NaN|an infinite score"), (-torch.inf, "NaN|no token")]
)
@pytest.mark.parametrize(
    "settings",
    [{"num_beams": 3}, {"num_beams": 2, "do_sample": True}, {"repetition_penalty": 1.2},
     {"no_repeat_ngram_size": 2, "do_sample": True, "temperature": 0.7}],
)  # fmt: skip
def test_no_distribution_is_one_clear_error(folder, settings, bad, what, step):
    """One row's scores are spoilt at one step: of a batch of prompts the last, of its beams the last."""
    model = DetoxLM(str(folder), device="cpu")
    read = []

    def spoil(module, given, output):
        read.append(len(output.logits))
        output.logits[:, -1, model.eot_token_id] = -torch.inf
        if len(read) == step + 1:
            output.logits[-1, -1] = bad

    ask(model, **settings)  # whether it reads padded rows as others is probed once
    model.model.register_forward_hook(spoil)
    with pytest.raises(DetoxbenchError) as caught:
        ask(model, **settings)
    last = read[0] // settings.get("num_beams", 1) - 1
    prompt = sorted(PROMPTS, key=lambda text: -len(model.tok_encode(text)))[last]
    given = ", ".join(f"{name}={value}" for name, value in settings.items() if name not in ("do_sample", "temperature"))
    assert re.fullmatch(
        rf"model '{re.escape(str(folder))}' gives no distribution to draw from \(({what})\) under {given} at new token "
        rf"{step + 1} of the prompt '{prompt}': its weights or artifacts may be damaged, .* leave it no token",
        str(caught.value),
    )


def test_what_follows_an_end_may_be_anything(folder):
    """A row that has ended is filled up, and its scores are no-one's."""
    model = DetoxLM(str(folder), device="cpu")
    read = []

    def spoil(module, given, output):
        read.append(len(output.logits))
        if len(read) == 1:
            output.logits[-1, -1, model.eot_token_id] = 1e4
        else:
            output.logits[-1, -1] = torch.nan

    if model.config.model_type == "mamba":
        pytest.skip("its prompts of different lengths are no batch")
    ask(model, ["so", "so what"], repetition_penalty=1.0)
    model.model.register_forward_hook(spoil)
    texts = ask(model, ["so", "so what"], repetition_penalty=1.0)
    assert "" in texts
    assert len(read) > 1


def test_settings_that_leave_no_token(folder):
    model = DetoxLM(str(folder), device="cpu")
    every = list(range(len(model.tokenizer)))
    with pytest.raises(DetoxbenchError, match=r"\(no token\) under suppress_tokens=.* at new token 1 of the prompt"):
        ask(model, suppress_tokens=every)


def test_lm_evals_own_model_decodes_our_tasks_after_their_prompts(folder):
    """The texts of ``--model hf`` are those of ``--model detox`` where no row is padded, in our tasks alone."""
    ours = DetoxLM(str(folder), device="cpu")
    theirs = HFLM(str(folder), device="cpu", batch_size=1)
    if ours.config.model_type == "roberta":
        pytest.skip("transformers' own generate counts its positions from 0")
    plain = ask(theirs)
    original = HFLM.generate_until
    with decoding_after_prompts(lambda request: request.task_name == "ours"):
        found = ask(theirs, task="ours")
        mixed = theirs.generate_until([
            Instance(request_type="generate_until", doc={}, arguments=(prompt, GREEDY), idx=0, metadata=(task, 0, 1))
            for prompt in PROMPTS for task in ("theirs", "ours")
        ], disable_tqdm=True)  # fmt: skip
    assert found == ask(ours)
    assert mixed == [text for pair in zip(plain, found, strict=True) for text in pair]
    assert HFLM.generate_until is original
    assert "tok_decode" not in vars(theirs)
    if ours.config.model_type == "llama":  # whose texts lose their first space without
        with decoding_after_prompts(lambda request: True):
            kept = ask(theirs, WORDS)
        lost = ask(theirs, WORDS)
        assert any(whole == f" {part}" for whole, part in zip(kept, lost, strict=True))
