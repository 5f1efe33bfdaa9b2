"""``backend=vllm`` without vLLM: a stand-in batches requests as it does; texts are those of the other backend."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from asked import PROMPTS, ask, likelihoods

from detoxbench.core.comparability import board
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.records import ModelRun
from detoxbench.core.sampling import Sampling
from detoxbench.harness import journal
from detoxbench.harness.by_vllm import draws, texts
from detoxbench.harness.model import DetoxLM
from detoxbench.harness.run_settings import RUN, RunSettings

METHODS = ["none", "negation", "best_of_n", "negation+best_of_n"]
HOW = [{}, {"do_sample": False}, {"until": [" the"]}, {"temperature": 0.7, "top_k": 5, "top_p": 1.0}, {"seed": 7}]


@pytest.mark.parametrize("method", METHODS)
def test_texts_are_those_of_the_other_backend(fake, make, method):
    """Whatever else is in the batch, and wherever in it."""
    given = {"scorer": "mini:reward", "n": 2} if "best_of_n" in method else {}
    ours, theirs = make(method, **given), make(method, backend="vllm", **given)
    for settings in HOW:
        assert ask(theirs, **settings) == ask(ours, **settings), settings
    assert len(set(ask(theirs))) == len(set(ask(ours))) > len(PROMPTS)
    known, same = ours.get_model_info()["detoxbench"], theirs.get_model_info()["detoxbench"]
    assert (known["backend"], same["backend"]) == ("transformers", "vllm")
    differing = {name for name in known if known[name] != same[name]}
    assert differing <= {"backend", "seconds", "tokens_per_second", "versions"}


def test_likelihoods_are_those_of_the_other_backend(fake, make):
    (wanted, greedy), (found, taken) = likelihoods(make()), likelihoods(make(backend="vllm"))
    assert found == pytest.approx(wanted, rel=1e-5)
    assert taken == greedy


def test_what_the_engine_is_given(fake, make, folders):
    make(backend="vllm", dtype="bfloat16", max_length="64", gpu_memory_utilization="0.5", enforce_eager="true")
    make("negation", backend="vllm")
    DetoxLM("mini", backend="vllm")
    first, second, third = fake.made
    assert first["model"] == str(folders / "base")
    assert (first["dtype"], first["max_model_len"], first["gpu_memory_utilization"]) == ("bfloat16", 65, 0.5)
    assert (first["enforce_eager"], first.get("kv_cache_memory_bytes")) == (True, None)
    assert second["model"] != str(folders / "base")
    assert second["max_model_len"] == 129  # and the token after the text
    assert third["dtype"] == "float32"  # kept in double precision, which vLLM does not have


def test_one_board(fake, make):
    """What tells runs apart that may not be compared is not the backend; records of earlier versions had one."""
    records = [ModelRun(pretrained="x", method="none", method_arguments={}, **one) for one in ({}, {"backend": "vllm"})]
    assert board([], records[0]) == board([], records[1])
    assert records[0].backend == "transformers"


def test_what_is_finished_is_not_asked_again(fake, make, monkeypatch, tmp_path):
    monkeypatch.setenv("DETOXBENCH_CACHE", str(tmp_path))
    monkeypatch.setitem(texts.SAMPLES, "cpu", 4)  # one prompt at a time
    model = make(backend="vllm")
    wanted, generate, calls = ask(model), type(model.model.llm).generate, []

    def failing(self, prompts, params, use_tqdm):
        calls.append(prompts)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return generate(self, prompts, params, use_tqdm)

    monkeypatch.setattr(type(model.model.llm), "generate", failing)
    with pytest.raises(KeyboardInterrupt), journal.keeping():
        ask(model)
    with journal.keeping():
        assert ask(make(backend="vllm")) == wanted
    assert len(calls) == 5
    with journal.keeping():
        assert ask(make()) == wanted  # another backend's are not taken


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"method": "self_debias"}, "'self_debias' runs beside the model at every token"),
        ({"method": "negation+self_debias"}, "takes none, aura, best_of_n, dapt"),
        ({"think_end_token": "</think>"}, "backend=vllm takes no argument 'think_end_token'"),
        ({"peft": "x"}, "backend=vllm takes no argument 'peft'"),
        ({"max_batch_tokens": 100}, "max_num_batched_tokens"),
        ({"max_num_seqs": "many"}, "max_num_seqs=many: it must be a whole number"),
        ({"max_num_seqs": 0}, "max_num_seqs=0: it must be a whole number of at least 1"),
        ({"dtype": "float64"}, "vLLM computes in float32, bfloat16, float16"),
    ],
)
def test_what_is_refused(fake, make, given, said):
    with pytest.raises(DetoxbenchError, match=said):
        make(backend="vllm", **given)


def test_what_is_refused_without_it(make):
    with pytest.raises(DetoxbenchError, match="unknown backend 'vlm': did you mean 'vllm'"):
        make(backend="vlm")
    with pytest.raises(DetoxbenchError, match="max_num_seqs=4 is an argument of vLLM's engine: add backend=vllm"):
        make(max_num_seqs=4)
    if importlib.util.find_spec("vllm") is None:
        with pytest.raises(DetoxbenchError, match=r"pip install 'detoxbench\[vllm\]'"):
            make(backend="vllm")


def test_settings_of_transformers_and_costs_are_refused(fake, make):
    with pytest.raises(DetoxbenchError, match="num_beams: settings of transformers' generate"):
        ask(make(backend="vllm"), num_beams=2)
    token = RUN.set(RunSettings(cost=True))
    try:
        with pytest.raises(DetoxbenchError, match="leave out backend=vllm"):
            make(backend="vllm")
    finally:
        RUN.reset(token)


def test_one_engine_at_a_time(fake, make):
    first = make(backend="vllm")
    second = make(backend="vllm")
    assert ask(second)
    with pytest.raises(DetoxbenchError, match="one engine at a time"):
        ask(first)


def test_rows_that_nothing_can_be_drawn_from():
    rows = draws.Draws("tiny")
    rows.add(1, draws.told(Sampling(), 3, 0), [5, 6], [1])
    scores = torch.zeros(2, 4)
    scores[0] = torch.nan  # of a request that is not drawn here
    rows.apply(scores)
    scores[1, 2] = torch.nan
    said = r"'tiny' gives no distribution .*new token 2 of the prompt of tokens \[5, 6\]"
    with pytest.raises(DetoxbenchError, match=said):
        rows.apply(scores)


def test_places():
    """Of rows 0, 1, 2: what goes over a place leaves none behind; a swap changes two, one of which may be another's."""
    rows = draws.Draws()
    for place in range(3):
        rows.add(place, draws.told(Sampling(), place, 0), [], [])
    rows.remove(0)
    rows.move(2, 0, both=False)
    rows.move(0, 1, both=True)
    assert {place: row.key for place, row in rows.rows.items()} == {0: 1, 1: 2}
    rows.add(0, None, [], [])
    rows.move(0, 1, both=True)
    assert {place: row.key for place, row in rows.rows.items()} == {0: 2}
