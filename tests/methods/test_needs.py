"""What a fit takes is said before it starts, and refused where it cannot fit."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.registry import METHODS
from detoxbench.methods import needs
from detoxbench.methods.artifact_arguments import fit_settings
from detoxbench.methods.declaration import Fit
from detoxbench.methods.needs import Needs, Size, finetuning
from detoxbench.methods.training import pace
from detoxbench.methods.training.pace import Pace

FITTED = [name for name in METHODS if METHODS[name].fit is not None]
SIZE = Size(parameters=1_000, vocab=50, dim=10, itemsize=2)
TEXTS = {"toxic": range(100), "nontoxic": range(100)}


def settings(**given):
    return SimpleNamespace(**{"batch_size": 10, "max_steps": -1, "epochs": 1, **given})


def test_the_size_is_the_models(world):
    model = AutoModelForCausalLM.from_pretrained(world.model)
    found = Size.of(world.model)
    assert found.parameters == sum(one.numel() for one in model.parameters())
    assert (found.vocab, found.dim, found.itemsize) == (model.config.vocab_size, model.config.n_embd, 4)
    assert Size.of(str(world.folder / "nothing")) is None


def test_fine_tuning_by_hand():
    assert finetuning(SIZE, TEXTS, settings()) == Needs(16_000, 4_000, finetuning(SIZE, TEXTS, settings()).instead)
    assert "--lora" in finetuning(SIZE, TEXTS, settings()).instead
    assert needs.each_side(SIZE, TEXTS, settings()).disk == 8_000
    lora = finetuning(SIZE, TEXTS, settings(lora_rank=4))
    assert (lora.memory, lora.disk) == (4_000, 4_000)
    assert finetuning(SIZE, TEXTS, settings(epochs=51)).disk == 4_000 + 36_000  # 510 updates: checkpoints
    assert finetuning(SIZE, TEXTS, settings(epochs=51, max_steps=20)).disk == 4_000


@pytest.mark.parametrize("method", FITTED)
def test_every_fit_says_what_it_takes(method):
    fit: Fit = METHODS[method].fit
    given = {name: "mini:reward" for name in fit.settings.model_fields if name == "scorer"}
    found = (fit.cost or needs.reading)(SIZE, TEXTS, fit_settings(method, fit.mini.settings, given))
    assert found.memory >= SIZE.parameters * SIZE.itemsize
    assert found.disk >= 0


def test_a_value_model_trains_what_is_used():
    method = METHODS["rectification"]
    chosen = fit_settings("rectification", {"scorer": "mini:reward"})
    found = method.fit.cost(Size(1_000, 50, 10, 2), TEXTS, chosen)
    assert (found.memory, found.disk) == (4_000 + 8_000, 4_000 + 4_000)
    small = method.fit.cost(Size(2_000, 50, 10, 2), TEXTS, fit_settings("rectification", {"scorer": "mini:reward"}))
    assert small.memory == 8_000 + 3 * (8_000 - 2_000)


@pytest.mark.parametrize(
    ("memory", "disk", "message"), [(10, 10**9, "of memory, and"), (10**9, 10, "of room for .* on the disk")]
)
def test_what_cannot_fit_is_refused_in_one_line(world, tmp_path, monkeypatch, capsys, memory, disk, message):
    called = []
    monkeypatch.setattr(needs, "free_memory", lambda device=None: (memory, ""))
    monkeypatch.setattr(needs, "free_disk", lambda out: disk)
    fit = METHODS["dapt"].fit
    monkeypatch.setattr(Fit, "run", lambda *_, **__: called.append(1), raising=False)
    with pytest.raises(DetoxbenchError, match=message) as caught:
        fit.make(world.model, tmp_path / "a" / "b", texts={"nontoxic": range(8)}, settings=fit_settings("dapt"))
    assert "\n" not in str(caught.value)
    assert "--lora" in str(caught.value)
    assert not called
    assert not (tmp_path / "a").exists()


def test_what_fits_is_said(world, tmp_path, monkeypatch, capsys):
    from dataclasses import replace

    fit = replace(METHODS["dapt"].fit, run=lambda *_, **given: given)
    assert fit.make(world.model, tmp_path, texts={"nontoxic": range(8)}, settings=fit_settings("dapt"), append=True)
    line = capsys.readouterr().err.strip()
    assert line.startswith("detoxbench: dapt: this fit takes about ")
    assert "free) and" in line
    (tmp_path / "dapt").mkdir()
    fit.make(world.model, tmp_path, texts={"nontoxic": range(8)}, settings=fit_settings("dapt"))
    assert capsys.readouterr().err == ""  # nothing is left to do


def test_a_containers_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(needs, "CGROUP", tmp_path)
    assert next(needs._of_container()) > 1 << 60
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 150\n")
    assert next(needs._of_container()) == 450
    if not torch.cuda.is_available():
        assert needs.free_memory() == (450, "")
    (tmp_path / "memory.max").write_text("max\n")
    assert next(needs._of_container()) > 1 << 60
    assert needs.free_disk(tmp_path / "not" / "there") > 0


def test_time_is_said_after_the_first_updates(capsys):
    now = [0.0]
    told = Pace("expert", 100, 10, clock=lambda: now[0])
    for _ in range(20):
        now[0] += 100.0 if told.done == 10 else 10.0  # the first one takes longer
        told.update()
    assert capsys.readouterr().err == "detoxbench: expert: about 14 min for the other 86 updates\n"
    quick = Pace("expert", 5, clock=lambda: now[0])
    for _ in range(5):
        quick.update()
    assert capsys.readouterr().err == ""
    assert pace.duration(7_200) == "2.0 h"
