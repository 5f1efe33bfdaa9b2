"""The lm-eval model: what is recorded is what was run, whatever was loaded or fitted before."""

from __future__ import annotations

import logging
import random

import pytest
import torch
from lm_eval.api.instance import Instance
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from detoxbench.core import mini
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.sampling import Request, Sampling, generate
from detoxbench.core.sampling.noise import prompt_key
from detoxbench.harness.model import DetoxLM
from detoxbench.harness.responses import Responses
from detoxbench.harness.run_settings import RUN, RunSettings, of_run

SETTINGS = {"do_sample": True, "temperature": 1.0, "top_p": 0.9, "max_gen_toks": 6, "until": []}
PROMPTS = ["The neighbour says", "Nobody", "One, two, three, four,"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folders of three tiny models with the embedded tokenizer: ``base``, ``expert`` and ``antiexpert``."""
    path = tmp_path_factory.mktemp("models")
    tokenizer = AutoTokenizer.from_pretrained(mini.MODEL)
    for seed, name in enumerate(("base", "expert", "antiexpert")):
        torch.manual_seed(seed)
        config = GPT2Config(
            n_layer=2, n_embd=16, n_head=2, n_positions=64, vocab_size=len(tokenizer),
            **{f"{token}_token_id": getattr(tokenizer, f"{token}_token_id") for token in ("bos", "eos", "pad")},
        )  # fmt: skip
        model = GPT2LMHeadModel(config)
        model.transformer.ln_f.weight.data.mul_(20.0)
        model.save_pretrained(path / name)
        tokenizer.save_pretrained(path / name)
    return path


def make(folder, method="none", **arguments) -> DetoxLM:
    given = {"expert": str(folder / "expert"), "antiexpert": str(folder / "antiexpert")} if method == "dexperts" else {}
    return DetoxLM(str(folder / "base"), method, device="cpu", **{**given, **arguments})


def ask(model, prompts=PROMPTS, k=3, **settings) -> list[str]:
    """K samples of each prompt, as lm-eval asks for them."""
    rows = [
        Instance(request_type="generate_until", doc={}, arguments=(text, {**SETTINGS, **settings}), idx=i)
        for i, text in enumerate(prompts)
    ]
    return model.generate_until([row for row in rows for _ in range(k)], disable_tqdm=True)


def run_of(model) -> dict:
    return model.get_model_info()["detoxbench"]


def test_the_seed_is_the_runs_not_torchs(folder):
    """Loading, fitting and training change torch's state; the texts and the record stay."""
    first = make(folder)
    wanted = ask(first)
    torch.manual_seed(0)
    again = make(folder)
    torch.manual_seed(7)
    assert ask(again) == wanted
    assert run_of(again)["seed"] == run_of(first)["seed"] == 1234
    assert ask(make(folder, seed=0)) != wanted
    assert run_of(make(folder, seed=0))["seed"] == 0
    token = RUN.set(RunSettings(seed=5))
    try:
        of_five = make(folder)
        texts = ask(of_five)
    finally:
        RUN.reset(token)
    assert texts == ask(make(folder, seed=5)) != wanted
    assert run_of(of_five)["seed"] == 5


def test_settings_of_a_run():
    given = {"do_sample": True, "top_p": 0.9, "max_gen_toks": 20}
    run = of_run(None, [given, given], {"temperature": 0}, {})
    assert (run.seed, len(run.sampling), run.sampling[0].do_sample) == (1234, 1, False)
    assert of_run(3, [given], {}, {"seed": "0"}).sampling[0].seed == 0
    with pytest.raises(DetoxbenchError, match="^top_p=nan"):
        of_run(3, [given], {"top_p": float("nan")}, {})


def test_the_record_is_what_the_sampler_got(folder):
    model = make(folder)
    ask(model, temperature=0, top_p=0.5, until=["\n"])
    ask(model)
    run = run_of(model)
    assert run["sampling"] == {
        "max_new_tokens": 6, "top_p": 1.0, "temperature": 0.0, "top_k": 0, "do_sample": False, "stop": ["\n"],
        "truncation": "sampler", "nucleus_base": 1.0, "nucleus_method": 1.0,
    }  # fmt: skip
    (other,) = run["other_sampling"]
    assert (other["top_p"], other["do_sample"]) == (0.9, True)


def test_greedy_by_temperature(folder):
    model = make(folder)
    greedy = ask(model, do_sample=False)
    assert ask(model, temperature=0) == ask(model, temperature="0.0", do_sample="true") == greedy
    assert len(set(greedy)) <= len(PROMPTS)
    assert ask(model) != greedy


def test_the_methods_nucleus_is_recorded_and_can_be_aligned(folder, caplog):
    caplog.set_level(logging.WARNING)
    model = make(folder, "dexperts", filter_p=0.5)
    own = ask(model)
    run = run_of(model)["sampling"]
    assert (run["truncation"], run["nucleus_base"], run["nucleus_method"]) == ("method", 0.9, 0.5)
    (line,) = {record.message for record in caplog.records if "nucleus" in record.message}
    assert "to 0.5" in line
    assert "align_nucleus=true" in line
    caplog.clear()
    aligned = make(folder, "dexperts", filter_p=0.5, align_nucleus="true")
    texts = ask(aligned)
    assert texts == ask(make(folder, "dexperts", filter_p=0.9)) != own
    run = run_of(aligned)["sampling"]
    assert (run["truncation"], run["nucleus_base"], run["nucleus_method"]) == ("method", 0.9, 0.9)
    assert not [record for record in caplog.records if "nucleus" in record.message]


def test_aligned_where_the_protocol_has_no_nucleus(folder):
    aligned = make(folder, "dexperts", align_nucleus=True)
    texts = ask(aligned, top_p=1.0)
    assert texts == ask(make(folder, "dexperts", filter_p=1.0), top_p=1.0)
    run = run_of(aligned)["sampling"]
    assert (run["truncation"], run["nucleus_base"], run["nucleus_method"]) == ("sampler", 1.0, 1.0)


def test_what_is_refused_before_loading(monkeypatch):
    import lm_eval

    monkeypatch.setattr(DetoxLM, "__init__", lambda *_, **__: pytest.fail("loaded"))
    with pytest.raises(DetoxbenchError, match="^temperature=-1"):
        lm_eval.simple_evaluate("detox", tasks=["rtp_multilingual_en"], gen_kwargs="temperature=-1")
    with pytest.raises(DetoxbenchError, match=r"unknown option of --metadata 'samplez': did you mean 'samples'"):
        lm_eval.simple_evaluate("detox", tasks=["rtp_multilingual_en"], metadata={"samplez": 3})
    with pytest.raises(DetoxbenchError, match="unknown option of --metadata 'quux'"):
        lm_eval.simple_evaluate("detox", {"alpha": 1}, ["rtp_multilingual_en"], metadata={"quux": 3, "alpha": 1})


class TestLongPrompts:
    LONG = "The neighbour says that " * 40

    def test_cut_prompts_are_counted(self, folder):
        model = make(folder)
        texts = ask(model, [self.LONG, PROMPTS[0]])
        assert run_of(model)["cut_prompts"] == 1
        assert texts[3:] == ask(make(folder), PROMPTS[:1])

    def test_a_methods_prefix_has_room(self, folder):
        """Forty repetitions under a method that puts tokens in front, which is no fault of the user's."""
        model = make(folder, "self_debias", description="A rude text:")
        prefix = len(model.tokenizer("A rude text:").input_ids)
        assert model.max_length == 64 - prefix
        assert len(ask(model, [self.LONG])) == 3
        assert run_of(model)["cut_prompts"] == 1

    @pytest.mark.parametrize("method", ["none", "self_debias"])
    def test_no_room_is_refused(self, folder, method):
        model = make(folder, method, **({"description": "A rude text:"} if method == "self_debias" else {}))
        room = model.max_length
        assert len(ask(model, PROMPTS[:1], k=1, max_gen_toks=room - 1)) == 1
        with pytest.raises(DetoxbenchError, match=rf"^max_gen_toks={room} leaves no room for a prompt"):
            ask(model, max_gen_toks=room)

    def test_no_room_is_refused_before_a_method_is_loaded(self, folder, monkeypatch):
        monkeypatch.setattr("detoxbench.methods.provenance.completed", lambda *_: pytest.fail("fitted"))
        token = RUN.set(of_run(1, [{**SETTINGS, "max_gen_toks": 64}], {}, {}))
        try:
            with pytest.raises(DetoxbenchError, match="^max_gen_toks=64 leaves no room"):
                make(folder, "dexperts")
        finally:
            RUN.reset(token)


class TestThinking:
    def test_the_answer_alone(self, folder):
        """A token that comes up often stands for the end of thoughts."""
        plain = make(folder)
        rows = [Request(plain.tok_encode(text), prompt_key(text), range(8)) for text in PROMPTS]
        found = generate(plain.model, rows, Sampling(12, top_k=3, seed=1234), eos=[])
        tokens = [token for samples in found for sample in samples for token in set(sample)]
        # In about half of the samples.
        end = min(set(tokens), key=lambda token: abs(tokens.count(token) - 12))
        given = plain.tokenizer.convert_ids_to_tokens(end)
        model = make(folder, think_end_token=given, max_thinking_toks=12)
        texts = ask(model, k=8, top_k=3)
        cut = run_of(model)["cut_while_thinking"]
        assert 0 < cut < len(texts)
        assert sum(text == "" for text in texts) >= cut
        assert texts == ask(make(folder, think_end_token=end, max_thinking_toks=12), k=8, top_k=3)

    def test_thoughts_take_room(self, folder):
        model = make(folder, think_end_token="</think>", max_thinking_toks=60)
        with pytest.raises(DetoxbenchError, match=r"max_gen_toks=6 after 60 tokens of thoughts \(max_thinking_toks\)"):
            ask(model)

    def test_text_that_is_no_token(self, folder):
        tokenizer = AutoTokenizer.from_pretrained(folder / "base")
        responses = Responses(tokenizer, Sampling(stop=("\n",)), "</think>", 50)
        prompt = tokenizer("Say it.").input_ids
        new = tokenizer("I see\nwell </think> The answer\nand more").input_ids
        assert responses.thinking is not None
        ends = [end for end in range(1, len(new) + 1) if responses.thinking.ends(prompt, new[:end])]
        assert ends == list(range(ends[0], len(new) + 1))
        assert responses.text(prompt, new) == "The answer"
        assert responses.text(prompt, tokenizer("No thoughts here").input_ids).strip() == "No thoughts here"
        assert responses.cut_while_thinking == 0
        assert Responses(tokenizer, Sampling(), "</think>", 2).text(prompt, new[:2]) == ""


OPTIONS = {
    "seed": [0, 1, -1, 2**80, "5", 1.5, float("nan"), "x", True],
    "max_batch_tokens": [0, 1, -1, "300", float("nan"), "x", 2.5],
    "filter_loglikelihood": ["true", "False", 0, 1, 2, "maybe"],
    "align_nucleus": ["true", 0, "maybe"],
    "max_thinking_toks": [0, 1, "7", -1, float("inf")],
    "max_length": [0, "64", -1, "x", float("nan")],
    "batch_size": [0, "4", -1, "x", "auto", float("nan")],
    "add_bos_token": ["false", "maybe"],
    "backend": ["causal", "seq2seq", "x"],
    "dtype": ["float32", "float99"],
    "revision": ["main"],
    "alhpa": [2],
    "alpha": [2],
    "peft": ["/no/such"],
    "tokenizer": ["/no/such"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in OPTIONS.items() for value in values])
def test_every_option_is_right_or_one_line(folder, name, value):
    try:
        model = make(folder, **{name: value})
    except DetoxbenchError as error:
        message = str(error)
    else:
        message = ""
        assert len(ask(model, PROMPTS[:1], k=1)) == 1
        assert isinstance(model.filter_loglikelihood, bool)
    if message:
        assert message.isprintable()


@pytest.mark.parametrize(
    ("name", "value"),
    [("seed", 1.5), ("seed", True), ("max_batch_tokens", 0), ("filter_loglikelihood", "maybe"), ("max_length", -1),
     ("batch_size", 0), ("alhpa", 2), ("alpha", 2)],
)  # fmt: skip
def test_wrong_options_name_themselves(folder, name, value):
    with pytest.raises(DetoxbenchError, match=name):
        make(folder, **{name: value})


def test_options_given_as_strings(folder):
    assert make(folder, filter_loglikelihood="false").filter_loglikelihood is False
    model = make(folder, "dexperts", alpha="2.0", filter_p="0.9")
    assert ask(model) == ask(make(folder, "dexperts", alpha=2, filter_p=0.9))


def test_unknown_generation_settings(folder):
    with pytest.raises(DetoxbenchError, match="unknown generation setting 'temprature': did you mean 'temperature'"):
        ask(make(folder), temprature=1.0)


def test_beams_go_to_transformers(folder):
    model = make(folder)
    torch.manual_seed(random.randrange(100))
    first = ask(model, PROMPTS[:1], k=2, num_beams=2)
    assert ask(make(folder), PROMPTS[:1], k=2, num_beams=2) == first
    assert run_of(model)["sampling"]["num_beams"] == 2


def test_an_automatic_batch_is_bounded_by_bytes_on_a_processor(folder, monkeypatch):
    """lm-eval's own search would go on until memory ran out, which there ends the process."""
    lm = make(folder, batch_size="auto", max_batch_size=64)
    calls = []
    monkeypatch.setattr(type(lm), "_model_call", lambda *_, **__: calls.append(1))
    vocab = lm.model.config.vocab_size
    assert lm._detect_batch_size() == min(64, (1 << 27) // (vocab * 4 * lm.max_length))
    monkeypatch.setattr("detoxbench.core.sampling.room.SCORE_BYTES", {"cpu": vocab * 4 * 9})
    assert lm._detect_batch_size([None, ("", [1, 2], [3])], 1) == 3
    assert lm._detect_batch_size([("", [1] * 60, [3] * 60)]) == 1
    assert calls == []


def test_likelihoods_with_an_automatic_batch_are_those_without(folder):
    asked = [Instance("loglikelihood", {}, (prompt, " again"), 0) for prompt in PROMPTS]
    one, auto = (make(folder, batch_size=size).loglikelihood(asked, disable_tqdm=True) for size in (1, "auto"))
    assert [value for value, _ in auto] == pytest.approx([value for value, _ in one], rel=1e-5)
