"""SASA: the probe in closed form, the redistribution, and the fit."""

from __future__ import annotations

import math

import pytest
import torch
from typer.testing import CliRunner

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.sampling import Request, Sampling, generate
from detoxbench.harness.cli import fit as command
from detoxbench.methods import artifacts, load_detoxified
from detoxbench.methods.sasa import probe as probes
from detoxbench.methods.sasa.method import redistribute
from detoxbench.methods.sasa.probe import Probe, fit, separating


def test_redistribution_by_hand():
    z = torch.tensor([[0.6, 0.2, 0.15, 0.05]]).log()
    tokens, margins = torch.tensor([[0, 1, 3]]), torch.tensor([[0.0, math.log(3.0), 9.0]])
    found = redistribute(z.clone(), tokens, margins, beta=4.0, filter_p=0.9)
    wanted = torch.tensor([[z[0, 0] + 1.0, z[0, 1] + 3.0, z[0, 2], -torch.inf]])  # the last is outside the nucleus
    torch.testing.assert_close(found, wanted)
    everything = redistribute(z.clone(), tokens, torch.zeros(1, 3), 3.0, filter_p=0.0)
    torch.testing.assert_close(everything, z + torch.tensor([[1.0, 1.0, 0.0, 1.0]]))


def test_probe_by_hand():
    """Means (2, 0) and (0, 0), variances 4 and 1: the direction is the difference, over the variances."""
    harmless = torch.tensor([[0.0, 1.0], [4.0, 1.0], [0.0, -1.0], [4.0, -1.0]], dtype=torch.float64)
    toxic = harmless - torch.tensor([2.0, 1.0], dtype=torch.float64)
    sums = torch.stack([harmless.sum(0), toxic.sum(0)])
    found = separating([4, 4], sums, harmless.T @ harmless + toxic.T @ toxic)
    wanted = torch.tensor([2.0 / 4.0, 1.0 / 1.0])
    torch.testing.assert_close(found.direction, wanted / wanted.norm())
    torch.testing.assert_close(found.midpoint, torch.tensor([1.0, -0.5]))
    assert float(found.margin(torch.tensor([2.0, 0.0]))) > 0 > float(found.margin(torch.tensor([0.0, -1.0])))
    assert float(found.margin(found.midpoint)) == pytest.approx(0.0, abs=1e-6)


def test_a_direction_that_no_state_has():
    """Constant dimensions have no variance to divide by."""
    states = torch.tensor([[1.0, 5.0], [3.0, 5.0]], dtype=torch.float64)
    other = states + torch.tensor([4.0, 0.0], dtype=torch.float64)
    sums = torch.stack([states.sum(0), other.sum(0)])
    found = separating([2, 2], sums, states.T @ states + other.T @ other)
    torch.testing.assert_close(found.direction.abs(), torch.tensor([1.0, 0.0]), atol=1e-5, rtol=0)
    with pytest.raises(DetoxbenchError, match="nothing to tell apart"):
        separating([2, 2], torch.stack([states.sum(0)] * 2), 2 * states.T @ states)
    with pytest.raises(DetoxbenchError, match="at least 2"):
        separating([1, 2], sums, states.T @ states)


def test_strength_0_is_the_base_model(tiny, artifacts):
    base = tiny("gpt2", 0)
    lm = load_detoxified(base, "sasa", **{**artifacts("gpt2", "sasa"), "beta": 0.0})
    assert not lm.truncates
    requests = [Request([3, 4, 5], 11, range(4)), Request([6], 12, range(4))]
    sampling = Sampling(max_new_tokens=8)
    assert generate(lm, requests, sampling, eos=[0]) == generate(base, requests, sampling, eos=[0])


def test_margins_are_of_the_text_with_the_token(tiny, artifacts):
    base, given = tiny("qwen3", 0), artifacts("qwen3", "sasa")
    lm = load_detoxified(base, "sasa", probe=given["probe"], beta=7.0, candidates=5, filter_p=0.0)
    text = [3, 4, 5]
    z = base(torch.tensor([text])).logits[0, -1]
    likeliest = z.topk(5).indices
    states = [base.model(torch.tensor([[*text, token]])).last_hidden_state[0, -1] for token in likeliest.tolist()]
    wanted = z[likeliest] + 7.0 * given["probe"].margin(torch.stack(states)).softmax(0)
    torch.testing.assert_close(lm(torch.tensor([text])).logits[0, -1, likeliest], wanted, atol=1e-4, rtol=1e-4)


def test_fit_and_use(world, tmp_path, monkeypatch):
    monkeypatch.setattr(probes, "CHUNK", 16)
    path = fit(world.model, tmp_path, **world.sides(), device="cpu")
    trained = artifacts.read(path)["trained"]
    assert trained["accuracy"] > 0.8
    assert trained["rows"] + sum(trained["held_out"]) == 120
    assert fit(world.model, tmp_path, **world.sides(), device="cpu") == path
    assert Probe.load(path).direction.norm() == pytest.approx(1.0)
    load_detoxified(world.model, "sasa", probe=str(path))(torch.tensor([[1, 2]]))


def test_killed_and_resumed(world, tmp_path, processes, monkeypatch):
    monkeypatch.setattr(probes, "CHUNK", 16)

    def action(out):
        return lambda: fit(world.model, out, **world.sides(), device="cpu")

    action(tmp_path / "whole")()
    kill_at = 0
    while processes.killed(action(tmp_path / "parts"), kill_at := kill_at + 2):
        assert kill_at < 40
    one, other = (Probe.load(tmp_path / name / "probe") for name in ("whole", "parts"))
    assert torch.equal(one.direction, other.direction)
    assert torch.equal(one.midpoint, other.midpoint)


def test_refused(tiny, tmp_path):
    with pytest.raises(DetoxbenchError, match="needs probe="):
        load_detoxified(tiny("gpt2", 0), "sasa")
    with pytest.raises(DetoxbenchError, match="states of 3 dimensions"):
        load_detoxified(tiny("gpt2", 0), "sasa", probe=Probe(torch.ones(3), torch.zeros(3)))
    with pytest.raises(DetoxbenchError, match="is no probe"):
        load_detoxified(tiny("gpt2", 0), "sasa", probe=str(tmp_path))


def test_command(world, tmp_path):
    given = ["sasa", "--pretrained", world.model, "--out", tmp_path, "--device", "cpu", "--toxic", world.toxic,
             "--nontoxic", world.nontoxic]  # fmt: skip
    result = CliRunner().invoke(command.app, [str(one) for one in given])
    assert result.exit_code == 0, result.output
    assert f"method=sasa,probe={tmp_path / 'probe'} " in result.output
