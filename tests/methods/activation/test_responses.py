"""Pooled states: of padded rows as of the rows alone, in their order, made once."""

from __future__ import annotations

import pytest
import torch

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods.activation import responses
from detoxbench.methods.activation.hooks import watching
from detoxbench.methods.activation.places import block_outputs
from detoxbench.methods.base import Place
from detoxbench.methods.training.work import load_base

STATES = torch.tensor([[[1.0, -5.0], [3.0, -4.0], [9.0, 9.0]], [[2.0, 0.0], [4.0, 2.0], [9.0, 1.0]]])
MASK = torch.tensor([[True, True, False], [True, True, True]])
ROWS = [[5, 6, 7, 8], [3], [9, 8, 7], [4, 4], [1, 2, 3, 4, 5]]


def test_pools():
    assert responses.highest(STATES, MASK).tolist() == [[3.0, -4.0], [9.0, 2.0]]
    assert responses.mean(STATES, MASK).tolist() == [[2.0, -4.5], [5.0, 1.0]]
    assert responses.last(1)(STATES, MASK).tolist() == [[3.0, -4.0], [9.0, 1.0]]
    assert responses.last(2)(STATES, MASK).tolist() == [[2.0, -4.5], [6.5, 1.5]]
    assert responses.last(8)(STATES, MASK).tolist() == responses.mean(STATES, MASK).tolist()


@pytest.mark.parametrize("architecture", ["gpt2", "gemma3_text", "mixtral", "opt"])
@pytest.mark.parametrize("stop", [False, True])
def test_rows_are_those_alone(tiny, tmp_path, monkeypatch, architecture, stop):
    monkeypatch.setattr(responses, "CHUNK", 2)
    model = tiny(architecture, 0)
    places = block_outputs(model)
    made = responses.Responses(tmp_path, ROWS).make(model, places, responses.last(1), 2, stop=stop)
    assert len(made.chunks) == 3
    for name in places:
        for row, found in zip(ROWS, made.at(name), strict=True):
            with torch.no_grad(), watching(model, places) as seen:
                model(input_ids=torch.tensor([row]))
            torch.testing.assert_close(found, seen[name].reshape(-1, 16)[-1], atol=1e-5, rtol=1e-5)


def test_what_is_there_is_not_made_again(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(responses, "CHUNK", 2)
    model, places = tiny("gpt2", 0), block_outputs(tiny("gpt2", 0))
    made = responses.Responses(tmp_path, ROWS).make(model, places, responses.mean, 2)
    wanted = {name: made.at(name) for name in places}
    made.chunks[1].unlink()
    calls = []
    pooled = responses.pooled
    monkeypatch.setattr(responses, "pooled", lambda *args: calls.append(args) or pooled(*args))
    again = responses.Responses(tmp_path, ROWS).make(model, places, responses.mean, 2)
    assert len(calls) == 1
    for name in places:
        assert torch.equal(again.at(name), wanted[name])


def test_a_module_that_is_not_called(tiny, tmp_path):
    model = tiny("gpt2", 0)
    places = {"embeddings": Place("transformer.h"), **block_outputs(model)}
    with pytest.raises(DetoxbenchError, match="embeddings is not called"):
        responses.Responses(tmp_path, ROWS).make(model, places, responses.mean, 2)


def test_texts(world):
    _, tokenizer = load_base(world.model, device="cpu")
    rows = responses.encode(tokenizer, ["you are an idiot", ""], 3)
    assert rows == [tokenizer("you are an").input_ids, [tokenizer.eos_token_id]]
    texts = [str(at) for at in range(100)]
    some = responses.chosen(texts, 10, 0)
    assert len(some) == 10
    assert some == responses.chosen(iter(texts), 10, 0) != responses.chosen(texts, 10, 1)
    assert responses.chosen(texts, 100, 0) == texts
