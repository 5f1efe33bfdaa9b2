"""GeDi: Bayes' rule over the classes, its running sums, its filter, and the fit of its class model."""

from __future__ import annotations

import math

import pytest
import torch
from typer.testing import CliRunner

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.sampling import Request, Sampling, generate
from detoxbench.harness import model_arguments
from detoxbench.harness.cli import fit as command
from detoxbench.methods import artifacts, load_detoxified, provenance
from detoxbench.methods.gedi import fit as fitting
from detoxbench.methods.gedi.classes import ClassModel, log_desired
from detoxbench.methods.gedi.fit import Row, both_losses, fit
from detoxbench.methods.gedi.method import guide
from detoxbench.methods.gedi.settings import Settings

SMALL = Settings(
    epochs=2, learning_rate=1e-2, batch_size=8, block_size=12, desired_code="the", undesired_code="you",
    checkpoint_steps=4,
)  # fmt: skip


def test_by_hand():
    # Mean log-probabilities -1 and -2 after four tokens, scale 2: odds of e^2.
    found = log_desired(torch.tensor(-4.0), torch.tensor(-8.0), torch.tensor(4), 2.0)
    assert float(found) == pytest.approx(math.log(math.e**2 / (1 + math.e**2)))


def test_filter_by_hand():
    p = torch.tensor([[0.5, 0.3, 0.15, 0.05]])
    desired = torch.tensor([[0.1, 0.2, 0.9, 0.3]])
    # Guided (omega 1): 0.05, 0.06, 0.135, 0.015 of 0.26. From the least desired on they hold 0.19, 0.42, 0.48, 1.
    found = guide(p.log(), desired.log(), omega=1.0, rho=0.2)
    assert found.isneginf().tolist() == [[True, True, False, True]]
    assert float(found[0, 2]) == pytest.approx(math.log(0.135))
    # With rho 0.6 those that hold the last 0.6 stay: from a cumulated share of 0.4 on, or P(desired) of 0.4.
    assert guide(p.log(), desired.log(), 1.0, 0.6).isneginf().tolist() == [[True, False, False, False]]
    assert torch.allclose(guide(p.log(), desired.log(), 1.0, 0.0), (p * desired).log())


def test_no_token_but_one_is_left():
    sure = guide(torch.tensor([[50.0, 0.0]]), torch.tensor([[-1e-9, -40.0]]), 30.0, 0.2)
    assert not sure[0, 0].isneginf()
    equal = guide(torch.zeros(1, 5), torch.full((1, 5), math.log(0.5)), 30.0, 0.2)
    assert 1 <= int((~equal.isneginf()).sum()) <= 5


def test_sums_are_those_of_the_whole_text(tiny):
    """By the model read in full after each code."""
    model = tiny("llama", 4)
    found = ClassModel(model, [7], [9, 3], scale=1.3)
    text = [5, 11, 2, 8]
    logits = found(torch.tensor([text])).logits
    for at in range(1, len(text) + 1):
        total = []
        for code in ([7], [9, 3]):
            logp = model(torch.tensor([[*code, *text[:at]]])).logits.log_softmax(-1)[0]
            past = sum(logp[len(code) - 1 + i, text[i]] for i in range(at))
            total.append(past + logp[-1])
        wanted = torch.nn.functional.logsigmoid(1.3 * (total[0] - total[1]) / (at + 1))
        torch.testing.assert_close(logits[0, at - 1], wanted, atol=1e-5, rtol=1e-5)


def test_strength_0_is_the_base_model(tiny, artifacts):
    base = tiny("gpt2", 0)
    lm = load_detoxified(base, "gedi", **{**artifacts("gpt2", "gedi"), "omega": 0.0})
    assert not lm.truncates
    requests = [Request([3, 4, 5], 11, range(4)), Request([6], 12, range(4))]
    sampling = Sampling(max_new_tokens=8)
    assert generate(lm, requests, sampling, eos=[0]) == generate(base, requests, sampling, eos=[0])


def test_codes_take_positions(tiny):
    model = ClassModel(tiny("gpt2", 4), [7], [9, 3])
    lm = load_detoxified(tiny("gpt2", 0), "gedi", class_model=model)
    assert model_arguments.positions(lm, 64) == 62
    assert lm(torch.ones(1, 62, dtype=torch.long)).logits.shape == (1, 62, 61)


def test_refused(tiny, new_tiny):
    with pytest.raises(DetoxbenchError, match="two different ones"):
        ClassModel(tiny("gpt2", 0), [3], [3])
    with pytest.raises(DetoxbenchError, match="needs class_model="):
        load_detoxified(tiny("gpt2", 0), "gedi")
    other = ClassModel(new_tiny("gpt2", 1, vocab_size=50), [7], [9])
    with pytest.raises(DetoxbenchError, match="one vocabulary"):
        load_detoxified(tiny("gpt2", 0), "gedi", class_model=other)


def test_losses_by_hand():
    losses = torch.tensor([[1.0, 3.0], [2.0, 2.0]])
    rows = [Row([1], 0), Row([1], 1)]
    discriminative = (math.log(1 + math.exp(-4.0)) + math.log(2.0)) / 2  # scale 2
    found = both_losses(losses, rows, torch.tensor(2.0), 0.8)
    assert float(found) == pytest.approx(0.8 * 1.5 + 0.2 * discriminative, rel=1e-5)


def test_learns_and_is_used(world, tmp_path):
    path = fit(world.model, tmp_path, **world.sides(), settings=SMALL, device="cpu")
    trained = artifacts.read(path)["trained"]
    assert trained["accuracy"] > 0.9
    assert trained["loss_after"] < trained["loss_before"]
    assert fit(world.model, tmp_path, **world.sides(), settings=SMALL, device="cpu") == path
    found = ClassModel.load(path)
    assert found.codes == {"desired": [1], "undesired": [fitting.work.load_base(world.model)[1].get_vocab()["you"]]}
    lm = load_detoxified(world.model, "gedi", class_model=str(path), omega=5.0)
    vocabulary = fitting.work.load_base(world.model)[1].get_vocab()
    logits = found(torch.tensor([[vocabulary["garden"]]])).logits[0, -1]
    assert logits[vocabulary["kind"]] > logits[vocabulary["stupid"]]
    assert lm(torch.tensor([[vocabulary["garden"]]])).logits.isfinite().any()
    assert provenance.teachers({"class_model": str(path)}) == []


def test_killed_and_resumed(world, tmp_path, processes):
    def action(out):
        return lambda: fit(world.model, out, **world.sides(), settings=SMALL, device="cpu")

    action(tmp_path / "whole")()
    kill_at = 0
    while processes.killed(action(tmp_path / "parts"), kill_at := kill_at + 2):
        assert kill_at < 40
    one, other = (ClassModel.load(tmp_path / name / "class_model") for name in ("whole", "parts"))
    assert one.scale == other.scale
    for name, tensor in one.model.state_dict().items():
        assert torch.equal(tensor, other.model.state_dict()[name]), name


def test_command(world, tmp_path):
    given = ["gedi", "--pretrained", world.model, "--out", tmp_path, "--device", "cpu", "--toxic", world.toxic,
             "--nontoxic", world.nontoxic, "--max-steps", 6, "--learning-rate", 0.01, "--desired-code", "the",
             "--undesired-code", "you"]  # fmt: skip
    result = CliRunner().invoke(command.app, [str(one) for one in given])
    assert result.exit_code == 0, result.output
    assert f"method=gedi,class_model={tmp_path / 'class_model'}" in result.output


def test_fit_refused(world, tmp_path):
    with pytest.raises(DetoxbenchError, match="no token for it"):
        fit(world.model, tmp_path, **world.sides(), settings=SMALL.replaced(desired_code="unheard"), device="cpu")
    with pytest.raises(DetoxbenchError, match="changed next to nothing"):
        fit(world.model, tmp_path, **world.sides(), settings=SMALL.replaced(learning_rate=1e-12), device="cpu")
