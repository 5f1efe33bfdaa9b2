"""The SARSA loss as published and by hand, the target head, and a training that is killed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2Model

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods.rectification import sarsa
from detoxbench.methods.rectification.sarsa import Trajectory
from detoxbench.methods.rectification.settings import Training
from detoxbench.methods.rectification.value_model import ValueModel, q_head


def test_golden_loss(golden):
    reference = golden("rectification")
    arrays = np.load(reference.folder / "sarsa_model.npz")
    state = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    ids = {"bos_token_id": 0, "eos_token_id": 0}
    config = GPT2Config(vocab_size=301, n_embd=32, n_positions=128, n_layer=3, n_head=4, **ids)
    body = GPT2Model(config).eval()
    body.load_state_dict({name.removeprefix("transformer."): t for name, t in state.items() if "transformer." in name})
    heads = []
    for name in ("q_heads", "target_q_heads"):
        head = q_head(32, 301)
        prefix = f"ilql_heads.{name}.0."
        head.load_state_dict({f"{ours}.{p}": state[f"{prefix}{theirs}.{p}"]
                              for ours, theirs in ((0, 0), (2, 3)) for p in ("weight", "bias")})  # fmt: skip
        heads.append(head)
    tokens = reference["sarsa_input_ids"].long()
    rewards = reference["sarsa_rewards"].squeeze(1)
    found = sarsa.loss(ValueModel(body, heads[0]), heads[1], tokens, (tokens != 0).long(), rewards, gamma=1.0)
    assert float(found) == pytest.approx(float(reference["sarsa_loss"]), abs=1e-6)


@pytest.fixture
def value_model(world):
    torch.manual_seed(5)
    return ValueModel.from_causal_lm(AutoModelForCausalLM.from_pretrained(world.model)).eval()


def test_loss_by_hand(value_model):
    target = q_head(16, value_model.head[2].out_features)
    ids, mask, rewards = sarsa.collate([Trajectory([3, 7, 5], -1.0), Trajectory([2, 9], 0.0)])
    q = value_model(ids, mask).logits
    states = value_model.states(ids, mask)
    follows = float((0.5 * target(states[0, 1])[5]).clamp(-1, 0))
    errors = [(float(q[0, 0, 7]) - follows) ** 2, (float(q[0, 1, 5]) + 1) ** 2, float(q[1, 0, 9]) ** 2]
    found = sarsa.loss(value_model, target, ids, mask, rewards, gamma=0.5)
    assert float(found) == pytest.approx(sum(errors) / 5, rel=1e-5)


def test_a_trace_of_one_learns_from_the_reward_and_a_half_by_hand(value_model):
    target = q_head(16, value_model.head[2].out_features)
    ids, mask, rewards = sarsa.collate([Trajectory([3, 7, 5, 6], -1.0), Trajectory([2, 9], 0.0)])
    q, states = value_model(ids, mask).logits, value_model.states(ids, mask)
    values = [float(q[0, 0, 7]), float(q[0, 1, 5]), float(q[0, 2, 6]), float(q[1, 0, 9])]
    whole = sarsa.loss(value_model, target, ids, mask, rewards, gamma=1.0, trace=1.0)
    assert float(whole) == pytest.approx((sum((v + 1) ** 2 for v in values[:3]) + values[3] ** 2) / 6, rel=1e-5)
    follows = [float(target(states[0, at])[token].clamp(-1, 0)) for at, token in ((1, 5), (2, 6))]
    second = (follows[1] - 1) / 2
    wanted = [(follows[0] + second) / 2, second, -1.0, 0.0]
    half = sarsa.loss(value_model, target, ids, mask, rewards, gamma=1.0, trace=0.5)
    assert float(half) == pytest.approx(sum((v - w) ** 2 for v, w in zip(values, wanted, strict=True)) / 6, rel=1e-5)


def test_a_fresh_head_holds_nothing_against_any_token(value_model):
    assert not value_model(torch.tensor([[3, 7]])).logits.any()


@pytest.mark.parametrize("head_only", [True, False])
def test_the_body_is_left_alone_where_asked(value_model, head_only):
    before = {name: tensor.clone() for name, tensor in value_model.state_dict().items()}
    rows = [Trajectory([3, 7, 5], -1.0), Trajectory([2, 9], 0.0)]
    sarsa.train(value_model, rows, Training(epochs=2, learning_rate=1e-2, trace=1.0, head_only=head_only))
    same = {name: torch.equal(tensor, before[name]) for name, tensor in value_model.state_dict().items()}
    assert all(equal for name, equal in same.items() if name.startswith("body.")) is head_only
    assert not same["head.2.bias"]


def test_padding_changes_nothing(value_model):
    target = q_head(16, value_model.head[2].out_features)
    ids, mask, rewards = sarsa.collate([Trajectory([3, 7, 5], -1.0)])
    pad = torch.zeros(1, 4, dtype=torch.int64)
    alone = sarsa.loss(value_model, target, ids, mask, rewards, 1.0)
    padded = sarsa.loss(value_model, target, torch.cat([ids, pad], 1), torch.cat([mask, pad], 1), rewards, 1.0)
    torch.testing.assert_close(alone, padded)


def test_target_follows():
    target, head = q_head(2, 3), q_head(2, 3)
    wanted = [0.9 * a + 0.1 * b for a, b in zip(target.parameters(), head.parameters(), strict=True)]
    sarsa.follow(target, head, 0.1)
    for found, expected in zip(target.parameters(), wanted, strict=True):
        torch.testing.assert_close(found, expected)


TRAJECTORIES = [Trajectory([1, 2 + at % 5, 7 + at % 3, 10 + at % 9][: 2 + at % 3], -float(at % 2)) for at in range(20)]


def trained(model, folder=None, scheduler="constant"):
    settings = Training(epochs=3, batch_size=8, learning_rate=1e-3, lr_scheduler_type=scheduler)
    sarsa.train(model, TRAJECTORIES, settings, folder, checkpoint_steps=2)
    return model.state_dict()


def test_learns(value_model):
    target = q_head(16, value_model.head[2].out_features)
    batch = sarsa.collate([Trajectory([3, 7], -1.0), Trajectory([3, 8], 0.0)])
    before = float(sarsa.loss(value_model, target, *batch, gamma=1.0))
    pairs = [Trajectory([3, 7], -1.0), Trajectory([3, 8], 0.0)] * 8
    sarsa.train(value_model, pairs, Training(epochs=40, learning_rate=1e-2))
    assert float(sarsa.loss(value_model, target, *batch, gamma=1.0)) < 0.1 * before


def test_a_linear_schedule_falls_to_nothing(value_model, monkeypatch):
    rates = []
    monkeypatch.setattr(sarsa._State, "set_learning_rate", lambda state, rate: rates.append(rate))
    trained(value_model)
    assert rates == []
    trained(value_model, scheduler="linear")
    assert rates == pytest.approx([1e-3 * (9 - step) / 9 for step in range(9)])


@pytest.mark.parametrize("scheduler", ["constant", "linear"])
@pytest.mark.parametrize("kill_at", [1, 2, 4])
def test_killed_and_resumed_is_the_same_training(value_model, tmp_path, processes, kill_at, scheduler):
    import copy

    fresh = copy.deepcopy(value_model)
    reference = trained(copy.deepcopy(value_model), scheduler=scheduler)
    assert processes.killed(lambda: trained(value_model, tmp_path, scheduler), kill_at)
    assert (tmp_path / sarsa.CHECKPOINT).exists() == (kill_at > 1)
    found = trained(fresh, tmp_path, scheduler)
    for name, tensor in reference.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-6)
    if kill_at > 1:
        assert load_file(tmp_path / sarsa.CHECKPOINT)


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 0}, {"learning_rate": 0}, {"gamma": 1.1}, {"polyak": 0}, {"batch_size": 0}, {"lr_scheduler_type": "x"}],
)
def test_wrong_settings(wrong):
    with pytest.raises(DetoxbenchError, match=f"{next(iter(wrong))}="):
        Training(**wrong)
