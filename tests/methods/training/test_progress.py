"""Enough updates, warm-up as a share of them, what is said of a training, and the error for one that does nothing."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods import artifacts
from detoxbench.methods.dapt import fit as dapt
from detoxbench.methods.training import finetune, in_blocks, loss, progress, used_rows
from detoxbench.methods.training.progress import Plan, plan

QUICK = finetune.Settings(
    epochs=1, learning_rate=5e-3, warmup_steps=0, batch_size=8, device_batch_size=4, block_size=16
)


def replace(settings, **changes):
    return settings.model_copy(update=changes)


COMMON = {"epochs": 3.0, "max_steps": -1, "batch_size": 512, "device_batch": 8, "processes": 1, "warmup_steps": 100}


@pytest.mark.parametrize(
    ("rows", "changes", "wanted"),
    [
        (100_000, {}, Plan(588, 512, 64, 58)),  # plenty: the published batch
        (1_000_000, {}, Plan(5862, 512, 64, 100)),  # and the published warm-up
        (160, {}, Plan(60, 8, 1, 6)),  # a thousand short texts: 3 updates would do nothing
        (1, {}, Plan(3, 8, 1, 0)),
        (160, {"batch_size": 4, "device_batch": 4}, Plan(120, 4, 1, 12)),
        (160, {"max_steps": 20}, Plan(20, 512, 64, 2)),  # below the warm-up of 100 steps
        (160, {"max_steps": 1}, Plan(1, 512, 64, 0)),
        (100_000, {"processes": 4}, Plan(588, 512, 16, 58)),
        (1_000, {"warmup_steps": 0}, Plan(54, 56, 7, 0)),
    ],
)
def test_plan(rows, changes, wanted):
    assert plan(rows, **{**COMMON, **changes}) == wanted


def test_as_many_updates_as_planned(world, tmp_path):
    settings = replace(QUICK, epochs=2.5, batch_size=8, device_batch_size=2, warmup_steps=100)
    path = dapt.fit(world.model, tmp_path, nontoxic=world.texts("nontoxic"), settings=settings, device="cpu")
    trained = artifacts.read(path)["trained"]
    rows = trained["rows"]
    assert trained["updates"] == -(-(-(-rows // 2) // 4) * 5 // 2)
    assert trained["warmup_updates"] == trained["updates"] // 10
    assert trained["rows_an_update"] == 8


def test_loss_and_change_are_recorded(world, tmp_path, capsys):
    texts = world.texts("nontoxic")
    path = dapt.fit(world.model, tmp_path, nontoxic=texts, settings=QUICK, device="cpu")
    trained = artifacts.read(path)["trained"]
    assert trained["loss_after"] < trained["loss_before"] - 0.1
    assert 1e-3 < trained["relative_change"] < 1
    line = f"loss on its own texts {trained['loss_before']:.4f} -> {trained['loss_after']:.4f}, weights changed by"
    assert line in capsys.readouterr().err


@pytest.mark.parametrize("changes", [{"learning_rate": 1e-9}, {"learning_rate": 1e-6, "max_steps": 1}])
def test_a_fit_that_does_nothing(world, tmp_path, changes):
    settings = replace(QUICK, **changes)
    with pytest.raises(DetoxbenchError, match=r"dapt: \d+ updates changed next to nothing .*raise --learning-rate"):
        dapt.fit(world.model, tmp_path, nontoxic=world.texts("nontoxic"), settings=settings, device="cpu")
    assert not (tmp_path / "dapt").exists()


def test_a_fit_that_diverges():
    with pytest.raises(DetoxbenchError, match="diverged .* smaller learning rate"):
        progress.learned("dapt", Plan(3, 8, 1, 0), 2.0, float("nan"), 0.1)


def test_relative_change_by_hand():
    before, after = {"w": torch.tensor([3.0, 4.0])}, {"w": torch.tensor([3.0, 4.5])}
    assert progress.relative_change(before, after) == pytest.approx(0.1)
    assert progress.relative_change(before, before) == 0.0
    assert progress.relative_change({"w": torch.zeros(2)}, after) == 0.0
    assert progress.relative_change({}, {}) == 0.0


KINDS = {
    "gpt2": {},
    "llama": {},
    "gemma2": {"final_logit_softcapping": 3.0},
    "cohere": {"logit_scale": 0.3},
    "granite": {"logits_scaling": 4.0},
    "opt": {},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("block", [61, 61 * 5, 1 << 25])
@pytest.mark.parametrize("in_place", [True, False])
def test_block_by_block_is_the_models_own_loss(new_tiny, kind, block, in_place, monkeypatch):
    """Value and gradients, for heads that cap or scale their scores too, of two batches one after the other."""
    monkeypatch.setattr(loss, "BLOCK", block)
    if in_place:
        monkeypatch.setattr(used_rows, "LARGE", 0)
    else:
        monkeypatch.setattr(in_blocks, "possible", lambda *_: False)
    model = new_tiny(kind, 0, **KINDS[kind])
    batch = finetune.collate([[3, 4, 5, 6, 7], [8, 9, 10]])
    other = finetune.collate([[11, 1, 3]])
    wanted = model(**batch).loss
    wanted.backward()
    model(**other).loss.backward()
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    parts = loss.body_and_head(model)
    assert parts is not None
    total, count = loss.total_loss(parts, batch, 61)
    (total / count).backward()
    again = loss.total_loss(parts, other, 61)
    (again[0] / again[1]).backward()
    assert int(count) == 6
    torch.testing.assert_close(total / count, wanted, atol=1e-5, rtol=1e-5)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], atol=1e-5, rtol=1e-4, msg=name)
    assert loss.mean_loss(model, [[3, 4, 5, 6, 7], [8, 9, 10]], finetune.collate, 1) == pytest.approx(
        float(wanted.detach())
    )


def test_scores_made_otherwise_are_held_whole(new_tiny):
    model = new_tiny("gpt2", 0)
    model.lm_head.register_forward_hook(lambda module, args, output: output + 1)
    assert loss.body_and_head(model) is not None  # the hook is the head's
    forward = model.forward
    model.forward = lambda **given: type(forward(**given))(logits=forward(**given).logits * 2)
    assert loss.body_and_head(model) is None


@pytest.mark.parametrize("settings", [QUICK, replace(QUICK, lora_rank=2, learning_rate=2e-2)])
def test_trained_in_blocks_gives_the_same_model(world, tmp_path, settings, monkeypatch):
    options = {"nontoxic": world.texts("nontoxic"), "settings": settings, "device": "cpu"}
    whole = dapt.fit(world.model, tmp_path / "whole", **options)
    for module in (loss, finetune):
        monkeypatch.setattr(module, "BLOCK", 100)
    blocks = dapt.fit(world.model, tmp_path / "blocks", **options)
    found, wanted = (AutoModelForCausalLM.from_pretrained(path).state_dict() for path in (blocks, whole))
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, atol=2e-4, rtol=0)


def test_values_of_a_tensor_with_more_elements_than_float32_can_count():
    module = torch.nn.Module()
    module.table = torch.nn.Parameter(torch.zeros(2**24 + 4, dtype=torch.bfloat16))
    module.table.data[-1] = 1.0
    found = progress.values(module)["table"]
    assert len(found) == progress.SAMPLED_VALUES
    assert found[-1] == 1.0
