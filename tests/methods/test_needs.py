"""What a fit takes is said before it starts, and refused where it cannot fit."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.registry import METHODS
from detoxbench.methods import available, needs, speed
from detoxbench.methods.artifact_arguments import fit_settings
from detoxbench.methods.declaration import Fit
from detoxbench.methods.needs import Needs, Size, finetuning
from detoxbench.methods.training import pace
from detoxbench.methods.training.pace import Pace
from detoxbench.methods.training.texts import Texts

FITTED = [name for name in METHODS if METHODS[name].fit is not None]
SIZE = Size(parameters=1_000, vocab=50, dim=10, itemsize=2)
TEXTS = {"toxic": range(100), "nontoxic": range(100)}


def settings(**given):
    return SimpleNamespace(**{"batch_size": 10, "max_steps": -1, "epochs": 1, "block_size": 16, **given})


def test_the_size_is_the_models(world):
    model = AutoModelForCausalLM.from_pretrained(world.model)
    found = Size.of(world.model)
    assert found.parameters == sum(one.numel() for one in model.parameters())
    assert (found.vocab, found.dim, found.itemsize) == (model.config.vocab_size, model.config.n_embd, 4)
    assert Size.of(str(world.folder / "nothing")) is None


def test_fine_tuning_by_hand():
    found = finetuning(SIZE, TEXTS, settings())
    assert (found.memory, found.disk) == (16_000, 4_000)
    assert "--lora" in found.instead
    assert finetuning(SIZE, TEXTS, settings(device_batch_size=4)).memory == 16_000 + 4 * 24 * 4 * 16 * 10
    # Two sides of 100 texts of 16 tokens; two operations a weight forward, four backward.
    assert found.operations == {torch.float32: 6 * 1_000 * 2 * 100 * 16}
    assert finetuning(SIZE, TEXTS, settings(max_steps=3)).operations == {torch.float32: 6_000 * 3 * 10 * 16 * 2}
    assert needs.packed(SIZE, TEXTS, settings()).operations == {torch.float32: 6_000 * 2 * 100 * (128 / 4 + 1)}
    assert needs.each_side(SIZE, TEXTS, settings()).disk == 8_000
    lora = finetuning(SIZE, TEXTS, settings(lora_rank=4))
    assert (lora.memory, lora.disk) == (4_000, 4_000)
    assert lora.operations == {torch.float32: 4_000 * 200 * 16}
    assert finetuning(SIZE, TEXTS, settings(epochs=51)).disk == 4_000 + 36_000  # 510 updates: checkpoints
    assert finetuning(SIZE, TEXTS, settings(epochs=51, max_steps=20)).disk == 4_000


@pytest.mark.parametrize("method", FITTED)
def test_every_fit_says_what_it_takes(method):
    fit: Fit = METHODS[method].fit
    given = {name: "mini:reward" for name in fit.settings.model_fields if name == "scorer"}
    found = (fit.cost or needs.reading)(SIZE, TEXTS, fit_settings(method, fit.mini.settings, given))
    assert found.memory >= SIZE.parameters * SIZE.itemsize
    assert found.disk > 0
    assert sum(found.operations.values()) >= 2 * SIZE.parameters


def test_a_value_model_trains_what_is_used():
    method = METHODS["rectification"]
    chosen = fit_settings("rectification", {"scorer": "mini:reward"})
    found = method.fit.cost(Size(1_000, 50, 10, 2), TEXTS, chosen)
    kept = 4 * 24 * 32 * 40 * 10  # of 32 continuations of 40 tokens
    assert (found.memory, found.disk) == (4_000 + max(8_000, 3 * 2_000 + kept), 4_000 + 4_000)
    small = method.fit.cost(Size(2_000, 50, 10, 2), TEXTS, fit_settings("rectification", {"scorer": "mini:reward"}))
    assert small.memory == 8_000 + 3 * (8_000 - 2_000) + kept


@pytest.mark.parametrize(
    ("memory", "disk", "message"), [(10, 10**9, "of memory, and"), (10**9, 10, "of room for .* on the disk")]
)
def test_what_cannot_fit_is_refused_in_one_line(world, tmp_path, monkeypatch, capsys, memory, disk, message):
    called = []
    monkeypatch.setattr(available, "free_memory", lambda device=None: (memory, ""))
    monkeypatch.setattr(available, "free_disk", lambda out: disk)
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
    assert line.endswith("free) and less than a minute (a rough estimate)")
    (tmp_path / "dapt").mkdir()
    fit.make(world.model, tmp_path, texts={"nontoxic": range(8)}, settings=fit_settings("dapt"))
    assert capsys.readouterr().err == ""  # nothing is left to do


def test_the_time_is_of_operations_and_of_what_is_known(monkeypatch):
    monkeypatch.setattr(speed, "operations", lambda device, dtype: {torch.float32: 1e9, torch.bfloat16: 2e9}[dtype])
    wanted = {torch.float32: 6e11, torch.bfloat16: 6e11}
    assert available.time(Needs(1, 1, operations=wanted, seconds=60.0), "cpu") == "16 min (a rough estimate)"
    said = available.time(Needs(1, 1, operations={torch.float32: 59e9}, beside="the time of a scorer"), "cpu")
    assert said == "less than a minute (a rough estimate) beside the time of a scorer"


def test_this_machines_speed_is_measured():
    assert 1e6 < speed.operations("cpu", torch.float32) < 1e16
    assert speed.seconds({torch.float32: 0.0}, "cpu") == 0.0


def test_a_datastore_by_hand():
    cost = METHODS["goodtriever"].fit.cost
    chosen = fit_settings("goodtriever")
    found = cost(SIZE, {"toxic": _Counted(100, 100 * 76)}, chosen)  # 20 tokens each, the end token among them
    assert found.disk == 2 * 2_000 * (2 * 10 + 4)
    assert (found.memory, found.seconds) == (2_000, 0.0)
    many = {"toxic": _Counted(10_000, 10_000 * 76), "nontoxic": _Counted(100, 100 * 76)}
    large = cost(SIZE, many, chosen)
    assert large.disk == 2 * 202_000 * 24 + 200_000 * 72
    assert large.seconds == 100.0
    assert cost(SIZE, many, fit_settings("goodtriever", {"exact": True})).seconds == 0.0


def test_states_of_texts_lie_on_the_disk_while_a_fit_works():
    found = METHODS["profs"].fit.cost(Size(1_000, 50, 10, 2, layers=3), TEXTS, fit_settings("profs", {"count": 20}))
    assert found.disk == 4 * 3 * 10 * 40
    once = METHODS["mean_act"].fit.cost(SIZE, TEXTS, fit_settings("mean_act", {"incremental": False}))
    again = METHODS["mean_act"].fit.cost(Size(1_000, 50, 10, 2, layers=3), TEXTS, fit_settings("mean_act"))
    assert again.operations[torch.bfloat16] == 3 * once.operations[torch.bfloat16]


def test_a_combination_takes_what_its_fits_take_one_after_the_other():
    given = {name: fit_settings(name) for name in ("profs", "rad")}
    each = [(METHODS[name].fit.cost)(SIZE, TEXTS, given[name]) for name in given]
    found = METHODS["profs+rad"].fit.cost(SIZE, TEXTS, fit_settings("profs+rad"))
    assert found.memory == max(one.memory for one in each) == each[1].memory
    assert found.disk == sum(one.disk for one in each)
    assert found.instead == each[1].instead
    assert sum(found.operations.values()) == sum(sum(one.operations.values()) for one in each)


def test_the_tokenizer_says_how_many_bytes_a_token_has(world):
    sides = {"toxic": Texts([str(world.toxic)], "toxic")}
    found = Size.of(world.model, texts=sides)
    tokenizer = AutoTokenizer.from_pretrained(world.model)
    count = sum(len(tokenizer(one.text, add_special_tokens=False)["input_ids"]) for one in sides["toxic"])
    assert found.tokens(sides["toxic"]) == pytest.approx(count + len(sides["toxic"]))


def test_a_containers_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(available, "CGROUP", tmp_path)
    assert next(available._of_container()) > 1 << 60
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 150\n")
    assert next(available._of_container()) == 450
    if not torch.cuda.is_available():
        assert available.free_memory() == (450, "")
    (tmp_path / "memory.max").write_text("max\n")
    assert next(available._of_container()) > 1 << 60
    assert available.free_disk(tmp_path / "not" / "there") > 0


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


def test_tokens_of_texts():
    assert SIZE.tokens(range(10)) == 10 * (128 / 4 + 1)
    assert SIZE.tokens(range(10), length=8, count=4) == 32
    texts = _Counted(4, 160)
    assert SIZE.tokens(texts) == 4 * (40 / 4 + 1)
    assert Size(1_000, 50, 10, 2, bytes_a_token=2.0).tokens(texts) == 4 * (40 / 2 + 1)
    pairs = _Counted(2, 160, rows_each=2)
    assert SIZE.tokens(pairs, length=100) == 4 * (40 / 4 + 1)


class _Counted:
    def __init__(self, count: int, size: int, rows_each: int = 1):
        self.count, self.bytes, self.rows_each = count, size, rows_each

    def __len__(self) -> int:
        return self.count
