"""Experts: packed rows, what is trained and saved, adapters, a training that is killed, wrong inputs."""

from __future__ import annotations

import itertools
import sys

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from detoxbench.core import files
from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods import artifacts, load_detoxified
from detoxbench.methods.dexperts import fit as dexperts
from detoxbench.methods.dexperts.imports import import_expert
from detoxbench.methods.dexperts.settings import Settings
from detoxbench.methods.training import finetune

QUICK = Settings(epochs=1, learning_rate=5e-3, batch_size=8, device_batch_size=4, block_size=16)


def fit(world, out, settings=QUICK, **sides):
    texts = sides or world.sides()
    return dexperts.fit(world.model, out, settings=settings, device="cpu", checkpoint_steps=1, **texts)


def weights(path):
    return AutoModelForCausalLM.from_pretrained(path).state_dict()


@pytest.fixture(scope="module")
def made(world, tmp_path_factory):
    return fit(world, tmp_path_factory.mktemp("experts"))


def nll(path, world, side):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(path).eval(), AutoTokenizer.from_pretrained(world.model)
    batch = finetune.collate(finetune.pack(tokenizer, world.texts(side), 16))
    with torch.no_grad():
        return float(model(**batch).loss)


def test_each_learns_its_side(world, made):
    assert nll(made["expert"], world, "nontoxic") < nll(world.model, world, "nontoxic") - 0.1
    assert nll(made["antiexpert"], world, "toxic") < nll(world.model, world, "toxic") - 0.1
    assert nll(made["antiexpert"], world, "toxic") < nll(made["expert"], world, "toxic")


def test_used_and_recorded(world, made):
    lm = load_detoxified(world.model, "dexperts", **{name: str(path) for name, path in made.items()})
    assert lm(input_ids=torch.tensor([[1, 2]])).logits.shape[-1] == lm.config.vocab_size
    trained = artifacts.read(made["expert"])["trained"]
    assert trained["data"]["nontoxic"]["texts"] == 60
    assert trained["seed"] == 0
    assert trained["learning_rate"] == 5e-3
    assert not list(made["expert"].glob("*.bin"))


def test_fitted_again_nothing_happens(world, made):
    before = (made["expert"] / "model.safetensors").stat().st_mtime_ns
    fit(world, made["expert"].parent)
    assert (made["expert"] / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(DetoxbenchError, match="made from other data or settings"):
        fit(world, made["expert"].parent, Settings(epochs=2))


def test_rows_hold_whole_texts(world):
    tokenizer = AutoTokenizer.from_pretrained(world.model)
    texts = world.texts("toxic")
    rows = finetune.pack(tokenizer, texts, 16)
    assert all(1 < len(row) <= 16 for row in rows)
    wanted = (tokenizer(text.text)["input_ids"] + [0] for text in texts)
    assert list(itertools.chain(*rows)) == list(itertools.chain(*wanted))
    assert all(row[-1] == 0 for row in rows)
    batch = finetune.collate([[1, 2, 0], [3, 4]])
    assert batch["labels"].tolist() == [[1, 2, 0], [3, 4, -100]]


def test_long_texts_are_cut(world):
    tokenizer = AutoTokenizer.from_pretrained(world.model)
    assert max(map(len, finetune.pack(tokenizer, world.texts("toxic"), 2))) == 2


def test_adapters_are_merged(world, tmp_path):
    pytest.importorskip("peft")
    settings = Settings(epochs=1, learning_rate=1e-2, batch_size=8, device_batch_size=8, block_size=16, lora_rank=2)
    path = fit(world, tmp_path, settings, toxic=world.texts("toxic"))["antiexpert"]
    base, found = weights(world.model), weights(path)
    assert base.keys() == found.keys()
    torch.testing.assert_close(found["transformer.wte.weight"], base["transformer.wte.weight"])
    assert not torch.equal(found["transformer.h.0.attn.c_attn.weight"], base["transformer.h.0.attn.c_attn.weight"])


def test_adapters_without_peft(world, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(DetoxbenchError, match=r"pip install 'detoxbench\[lora\]'"):
        fit(world, tmp_path, Settings(lora_rank=2))


@pytest.mark.parametrize("kill_at", [1, 3, 4])
def test_killed_and_resumed(world, made, tmp_path, processes, kill_at):
    def run():
        return fit(world, tmp_path, toxic=world.texts("toxic"))

    assert processes.killed(run, kill_at)
    assert not (tmp_path / "antiexpert").exists()
    found, wanted = weights(run()["antiexpert"]), weights(made["antiexpert"])
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=0, atol=1e-5)


def test_a_half_written_checkpoint_is_not_read(tmp_path):
    whole, half = tmp_path / "checkpoint-3", tmp_path / "checkpoint-12"
    for path in (whole, half):
        path.mkdir()
    files.write_json(whole / "complete.json", {"step": 3})
    assert finetune.last_whole(tmp_path) == str(whole)
    assert not half.exists()
    assert finetune.last_whole(tmp_path / "nothing") is None


def test_import(world, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(world.model)
    (tmp_path / "theirs").mkdir()
    model.config.save_pretrained(tmp_path / "theirs")
    torch.save(model.state_dict(), tmp_path / "theirs" / "pytorch_model.bin")
    import_expert(tmp_path / "theirs", tmp_path / "ours")
    assert artifacts.read(tmp_path / "ours", dexperts.KIND)["trained"] == {"imported_from": "theirs"}
    torch.testing.assert_close(weights(tmp_path / "ours"), weights(world.model))
    with pytest.raises(DetoxbenchError, match="no such folder"):
        import_expert(tmp_path / "none", tmp_path / "x")


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"learning_rate": -1}, {"block_size": 1}, {"lora_rank": -1}])
def test_wrong_settings(wrong):
    with pytest.raises(DetoxbenchError, match=f"{next(iter(wrong))}="):
        Settings(**wrong)


def test_nothing_given(world, tmp_path):
    with pytest.raises(DetoxbenchError, match="nothing to fit on"):
        dexperts.fit(world.model, tmp_path)
