"""How many sequences fit into a batch, by hand; and that texts do not depend on it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from transformers import Gemma3TextConfig, GPT2Config, MambaConfig

from detoxbench.core.sampling import Request, Sampling, generate, room
from detoxbench.core.sampling.nucleus import draw
from detoxbench.core.sampling.room import Room, cache_bytes, scored_rows


class Model:
    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, config):
        self.config = config

    def forward(self, input_ids, logits_to_keep=0): ...


class All(Model):
    def forward(self, input_ids): ...


GEMMA = Gemma3TextConfig(vocab_size=262_144, num_hidden_layers=18, num_key_value_heads=1, head_dim=256)


def test_a_large_vocabulary_bounds_the_rows():
    found = Room.of(Model(GEMMA))
    assert found.rows == (1 << 27) // (262_144 * 4) == 128
    assert found.most(10, 20) == 128
    assert found.most(1000, 20) == 16_384 // 1020
    assert found.prompts(1000) == 128
    assert Room.of(All(GEMMA)).prompts(1000) == 1  # scores of all positions
    assert Room.of(All(GEMMA)).prompts(10) == 12
    two = SimpleNamespace(device=Model.device, streams={n: SimpleNamespace(model=Model(GEMMA)) for n in "ab"})
    assert Room.of(two).rows == 64


def test_a_small_vocabulary_leaves_the_positions_to_decide():
    found = Room.of(Model(GPT2Config()))
    assert found.most(10, 20) == 16_384 // 30
    assert Room.of(Model(GPT2Config()), 90).most(10, 20) == 3
    assert Room.of(Model(GPT2Config()), 1).most(10, 20) == 1


def test_caches_bound_the_positions():
    assert cache_bytes(Model(GPT2Config())) == 2 * 12 * 12 * 64 * 4
    assert cache_bytes(Model(GEMMA)) == 2 * 18 * 256 * 4
    assert cache_bytes(Model(MambaConfig())) == 0
    assert cache_bytes(SimpleNamespace()) == 0
    large = GPT2Config(n_layer=48, n_embd=1600, n_head=25)
    assert Room.of(Model(large)).tokens == (1 << 31) // (2 * 48 * 1600 * 4)


def test_scores_at_every_position():
    assert scored_rows(Model(GEMMA), 8) == 16
    assert scored_rows(Model(GEMMA), 100_000) == 1
    assert scored_rows(Model(GPT2Config()), 0) > 0


@pytest.mark.parametrize(("scores", "caches"), [(1, 1), (101 * 4 * 3, 1 << 31), (1 << 27, 2 * 2 * 32 * 8 * 40)])
def test_texts_do_not_depend_on_the_room(model, monkeypatch, scores, caches):
    asked = [Request(tokens, tokens[0], range(4)) for tokens in ([5, 6, 7], [9], [3, 4, 5, 6, 7, 8], [11, 12])]
    sampling = Sampling(max_new_tokens=6, seed=4)
    whole = generate(model, asked, sampling, eos=[0])
    monkeypatch.setitem(room.SCORE_BYTES, "cpu", scores)
    monkeypatch.setitem(room.CACHE_BYTES, "cpu", caches)
    assert generate(model, asked, sampling, eos=[0]) == whole


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.7}, {"top_k": 5}, {"top_p": 1.0}])
def test_blocks_of_rows_are_the_whole(monkeypatch, settings):
    torch.manual_seed(0)
    scores = torch.randn(7, 50, dtype=torch.float64) * 3
    keys = torch.randint(-(2**31), 2**31 - 1, (7, 3, 2)).to(torch.int32)
    whole = draw(scores, keys, **{"top_p": 0.8, **settings})
    monkeypatch.setattr("detoxbench.core.sampling.nucleus._ROWS", 100)
    assert torch.equal(draw(scores, keys, **{"top_p": 0.8, **settings}), whole)
