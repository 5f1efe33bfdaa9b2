"""Hooks live as long as their context; activation methods compose with logit methods."""

from __future__ import annotations

import pytest
import torch

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods import base
from detoxbench.methods.activation.hooks import hooked, steering, watching
from detoxbench.methods.base import Auxiliary, Place
from detoxbench.methods.lm import DetoxifiedLM

IDS = torch.tensor([[3, 4, 5, 6]])
BLOCK = "transformer.h.0"


class Doubling(base.ActivationMethod):
    """Doubles what the first MLP puts out."""

    def __init__(self, places):
        self.places = places

    def states(self, place, states, beside):
        return states * 2


class Halving(base.LogitMethod):
    def scores(self, base, streams, filtering):
        return base / 2


def hooks_of(model):
    return sum(len(one._forward_hooks) + len(one._forward_pre_hooks) for one in model.modules())


def scores(model):
    with torch.no_grad():
        return model(input_ids=IDS, use_cache=False).logits


def test_both_sides_are_seen(tiny):
    model = tiny("gpt2", 0)
    places = {"in": Place(f"{BLOCK}.mlp.c_proj", "input"), "out": Place(f"{BLOCK}.mlp"), "block": Place(BLOCK)}
    with watching(model, places) as seen:
        scores(model)
    layer = model.get_submodule(f"{BLOCK}.mlp.c_proj")
    torch.testing.assert_close(layer(seen["in"]), seen["out"])
    assert seen["block"].shape == (1, 4, 16)
    assert hooks_of(model) == 0


def test_hooks_are_taken_out_after_an_error(tiny):
    model = tiny("gpt2", 0)
    before = scores(model)

    def fail(states):
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"), hooked(model, {Place(f"{BLOCK}.mlp"): fail}):
        scores(model)
    assert hooks_of(model) == 0
    assert torch.equal(scores(model), before)


def test_no_such_module(tiny):
    model = tiny("gpt2", 0)
    with (
        pytest.raises(DetoxbenchError, match="no module transformer.h.9"),
        watching(model, {"a": Place(BLOCK), "b": Place("transformer.h.9")}),
    ):
        pass
    assert hooks_of(model) == 0


@pytest.mark.parametrize("side", ["input", "output"])
def test_a_change_is_that_of_the_weights(tiny, new_tiny, side):
    """Twice what a linear layer puts out is twice its weights and bias; twice what goes in, twice its weights."""
    model, wanted = tiny("gpt2", 0), new_tiny("gpt2", 0)
    layer = wanted.get_submodule(f"{BLOCK}.mlp.c_proj")
    with torch.no_grad():
        layer.weight.mul_(2)
        if side == "output":
            layer.bias.mul_(2)
    method = Doubling({"mlp": Place(f"{BLOCK}.mlp.c_proj", side)})
    with steering(model, method):
        found = scores(model)
    torch.testing.assert_close(found, scores(wanted))
    torch.testing.assert_close(DetoxifiedLM(model, activation=method)(IDS).logits, scores(wanted))


def test_with_a_logit_method(tiny):
    model = tiny("gpt2", 0)
    method = Doubling({"mlp": Place(f"{BLOCK}.mlp")})
    alone = DetoxifiedLM(model, activation=method)(IDS).logits
    both = DetoxifiedLM(model, Halving(model, None), activation=method)(IDS).logits
    torch.testing.assert_close(both, alone / 2)


def test_with_a_logit_method_that_runs_the_base_model_too(tiny, detoxified):
    """The base model is changed wherever it runs: also where it reads the description."""
    model = tiny("gpt2", 0)
    method = Doubling({"mlp": Place(f"{BLOCK}.mlp")})
    debiased = detoxified("gpt2", "self_debias").method
    both = DetoxifiedLM(model, debiased, activation=method)
    with steering(model, method):
        described = model(input_ids=torch.tensor([[5, 9, 2, *IDS[0].tolist()]])).logits[:, -4:]
    steered = DetoxifiedLM(model, activation=method)(IDS).logits
    streams = base.Streams(outputs={"described": described[0]})
    torch.testing.assert_close(both(IDS).logits[0], debiased.scores(steered[0].clone(), streams, True))
    cache = both(IDS[:, :2], use_cache=True).past_key_values
    assert set(cache.streams) == {"base", "described"}


def test_two_models_of_one_name(tiny):
    method = Doubling({})
    method.auxiliaries = {"other": Auxiliary(tiny("gpt2", 1))}
    logit = Halving(tiny("gpt2", 0), None)
    logit.auxiliaries = {"other": Auxiliary(tiny("gpt2", 2))}
    both = DetoxifiedLM(tiny("gpt2", 0), logit, activation=method)
    beside = [stream.model for name, stream in both.streams.items() if name != "base"]
    assert beside == [tiny("gpt2", 1), tiny("gpt2", 2)]
