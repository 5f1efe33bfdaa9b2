"""What a method costs: passes and memory are counted, times are compared in turn."""

from __future__ import annotations

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from detoxbench.core.metrics.run_level import COST
from detoxbench.core.sampling import Request, Sampling
from detoxbench.harness import cost
from detoxbench.methods import base, load_detoxified
from detoxbench.methods.lm import DetoxifiedLM


def tiny(seed):
    torch.manual_seed(seed)
    return GPT2LMHeadModel(GPT2Config(vocab_size=61, n_embd=16, n_layer=2, n_head=2, n_positions=64)).eval()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(cost, "SECONDS", 0.0)


def measured(model):
    requests = [Request([3 + at, 4, 5], at, range(2), "x") for at in range(3)]
    return cost.measure(model, requests, Sampling(max_new_tokens=8, seed=1), lambda prompt, new: "", 0)


def test_three_models_take_three_passes_and_two_models_more_memory(quick):
    model, expert, antiexpert = tiny(0), tiny(1), tiny(2)
    lm = load_detoxified(model, "dexperts", expert=expert, antiexpert=antiexpert)
    found = measured(lm)
    assert set(found) == set(COST)
    assert found["forward_passes"].value == 3.0
    weights = sum(tensor.nbytes for tensor in {t.data_ptr(): t for t in expert.parameters()}.values())
    assert found["extra_memory"].value == pytest.approx(2 * weights / 1e6)
    for name in ("latency", "latency_ratio", "throughput", "throughput_ratio"):
        one = found[name]
        assert 0.0 < one.low <= one.value <= one.high
        assert one.prompts == cost.LEAST
    assert found["latency_ratio"].value > 1.0


def test_a_model_that_runs_twice_takes_no_memory(quick):
    found = measured(load_detoxified(tiny(0), "self_debias", description_ids=[5, 9]))
    assert found["forward_passes"].value == 2.0
    assert found["extra_memory"].value == 0.0


def test_without_a_method_there_is_nothing_to_compare(quick):
    found = measured(tiny(0))
    assert found["forward_passes"].value == 1.0
    assert (found["latency_ratio"].value, found["throughput_ratio"].value, found["extra_memory"].value) == (
        1.0,
        1.0,
        0.0,
    )


def test_what_is_drawn_and_thrown_away_counts(quick):
    class First(base.SelectionMethod):
        draws = 4

        def choose(self, groups, prompts, langs):
            return base.Chosen([0] * len(groups))

    model = tiny(0)
    found = measured(DetoxifiedLM(model, selection=First(model, None)))
    # One prefill serves all four; each of the other fifteen tokens is four.
    assert found["forward_passes"].value == (1 + 4 * 15) / 16


def test_a_run_measures_it_where_it_is_asked_for():
    import detoxbench

    options = {"samples": 2, "limit": 2, "fluency_model": "none"}
    run = detoxbench.evaluate("mini", "rtp_multilingual_en", method="self_debias", metadata={"cost": True}, **options)
    found = run.run.whole
    assert set(found) == set(COST)
    assert found["forward_passes"] == (2.0, 2.0, 2.0)
    assert "passes" in run.table()
    assert not detoxbench.evaluate("mini", "rtp_multilingual_en", method="self_debias", **options).run.whole
