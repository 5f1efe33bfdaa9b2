"""Toxification reversal: the formula, and that three readings with caches of their own are what it is about."""

from __future__ import annotations

import math

import pytest
import torch

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods import load_detoxified
from detoxbench.methods.activation.hooks import watching
from detoxbench.methods.base import Place
from detoxbench.methods.toxification_reversal.method import NEGATIVE, POSITIVE, reversed_

IDS = torch.tensor([[3, 4, 5, 6, 7]])


def test_by_hand():
    """One head of two dimensions: delta (0, 3), its factor (1 + 3)^0.5 = 2, doubled by the cosine 1: (2, 0) - 4 (0, 3),
    as long as v again."""
    v = torch.tensor([[2.0, 0.0]])
    negative, positive, end = torch.tensor([[1.0, 4.0]]), torch.tensor([[1.0, 1.0]]), torch.tensor([[5.0, 0.0]])
    found = reversed_(v, negative, positive, end, 0.5, 1.0)
    length = math.hypot(2, 12)
    torch.testing.assert_close(found, torch.tensor([[2 * 2 / length, 2 * -12 / length]]))
    away = reversed_(v, negative, positive, -end, 0.5, 1.0)  # a direction against it counts nothing
    length = math.hypot(2, 6)
    torch.testing.assert_close(away, torch.tensor([[2 * 2 / length, 2 * -6 / length]]))


def test_the_norm_is_of_all_heads_together():
    rng = torch.Generator().manual_seed(0)
    v, negative, positive = (torch.randn(3, 2, 4, generator=rng) for _ in range(3))
    found = reversed_(v, negative, positive, torch.randn(2, 4, generator=rng), 0.4, 0.6)
    torch.testing.assert_close(found.norm(dim=(-2, -1)), v.norm(dim=(-2, -1)))
    assert not torch.allclose(found.norm(dim=-1), v.norm(dim=-1))
    zero = torch.zeros(1, 2, 4)
    assert reversed_(zero, zero, zero, zero[0], 0.4, 0.6).isfinite().all()


def test_nothing_to_take_away():
    v = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(reversed_(v, v + 1, v + 1, v[0], 0.4, 0.6), v)
    assert torch.equal(reversed_(v, v + 1, v, v[0], 0.4, 0.6, strength=0.0), v)


def test_readings_side_by_side(tiny):
    """What is taken away at the first block is the difference of two runs of the base model."""
    model = tiny("llama", 0)
    lm = load_detoxified(model, "toxification_reversal", prefix_ids=[5, 9, 2], positive_prefix_ids=[8])
    places = lm.activation.places
    first = next(iter(places))
    seen = {}
    for name, prefix in (("plain", []), (NEGATIVE, [5, 9, 2]), (POSITIVE, [8])):
        with torch.no_grad(), watching(model, places) as states:
            model(input_ids=torch.tensor([[*prefix, *IDS[0].tolist()]]))
        seen[name] = states[first]
    beside = {name: seen[name][:, -5:] for name in (NEGATIVE, POSITIVE)}
    wanted = lm.activation.states(first, seen["plain"], beside)
    with watching(model, {"projected": Place(first)}) as states:
        lm(IDS)  # the changed reading is the last of the three
    torch.testing.assert_close(states["projected"], model.get_submodule(first)(wanted), atol=1e-5, rtol=1e-5)
    end = lm.activation.ends.on(first, torch.device("cpu"))
    torch.testing.assert_close(end, seen[NEGATIVE][0, 2], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(wanted, seen["plain"], atol=1e-2)


def test_the_same_prefix_twice_is_the_base_model(tiny):
    model = tiny("gpt2", 0)
    lm = load_detoxified(model, "toxification_reversal", prefix_ids=[5, 9], positive_prefix_ids=[5, 9])
    with torch.no_grad():
        torch.testing.assert_close(lm(IDS).logits, model(IDS).logits, atol=1e-5, rtol=1e-5)


def test_the_prefix_ends_in_its_colon(world):
    """A space behind it is read, and is not what stands for the prefix."""
    model = world.model
    spaced = load_detoxified(model, "toxification_reversal", prefix="you idiot ")
    plain = load_detoxified(model, "toxification_reversal", prefix="you idiot")
    for name in plain.activation.places:
        one, other = (lm.activation.ends.on(name, torch.device("cpu")) for lm in (spaced, plain))
        assert torch.equal(one, other)


def test_a_text_needs_a_tokenizer(tiny):
    with pytest.raises(DetoxbenchError, match=r"give its token ids as prefix_ids=\[...\]"):
        load_detoxified(tiny("gpt2", 0), "toxification_reversal")
    with pytest.raises(DetoxbenchError, match="argument strength=-1"):
        load_detoxified(tiny("gpt2", 0), "toxification_reversal", prefix_ids=[5], strength=-1)
