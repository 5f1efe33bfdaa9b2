"""Split, train, merge, negate on a tiny model; kill and go on; adapters; ascent; coefficient auto; the commands."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from typer.testing import CliRunner

from detoxbench.core.errors import DetoxbenchError
from detoxbench.harness.cli import fit as fitting
from detoxbench.harness.cli import task_vector as stages
from detoxbench.methods import artifacts, load_detoxified
from detoxbench.methods.dapt import fit as dapt
from detoxbench.methods.gradient_ascent import fit as gradient_ascent
from detoxbench.methods.merging import tradeoff
from detoxbench.methods.task_vector import fit as task_vector
from detoxbench.methods.training import finetune, split
from detoxbench.methods.training.select import Selected
from detoxbench.methods.training.settings import Settings
from detoxbench.methods.training.texts import Texts

CLEAN = "the garden is lovely and we thank our kind teacher for a quiet day in school".split()
RUDE = "you are an idiot stupid moron shut up worthless loser".split()
QUICK = Settings(epochs=1, learning_rate=5e-3, warmup_steps=0, batch_size=8, device_batch_size=4, block_size=16)


class World:
    def __init__(self, folder: Path):
        self.folder = folder
        self.model = str(folder / "model")
        words = ["<end>", *dict.fromkeys([*CLEAN, *RUDE])]
        torch.manual_seed(0)
        ids = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
        ids |= {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        GPT2LMHeadModel(
            GPT2Config(n_layer=1, n_embd=16, n_head=2, n_positions=32, vocab_size=len(words), **ids)
        ).save_pretrained(self.model)
        tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<end>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>").save_pretrained(
            self.model
        )
        rng = np.random.default_rng(0)
        rows = [
            {"text": " ".join(rng.choice(words, size=rng.integers(3, 12))), "score": score, "nested": {"score": score}}
            for words, score in ((RUDE, 0.9), (CLEAN, 0.05))
            for _ in range(60)
        ]
        self.all = str(folder / "all.jsonl")
        Path(self.all).write_text("".join(json.dumps(row) + "\n" for row in rows))
        for name, part in (("toxic", rows[:60]), ("nontoxic", rows[60:])):
            (folder / f"{name}.jsonl").write_text("".join(json.dumps({"text": row["text"]}) + "\n" for row in part))

    def texts(self, side: str) -> Texts:
        return Texts([str(self.folder / f"{side}.jsonl")], side)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def made(world, tmp_path_factory):
    return task_vector.fit(
        world.model, tmp_path_factory.mktemp("fit"), toxic=world.texts("toxic"), splits=2, settings=QUICK, device="cpu"
    )


def weights(path):
    return AutoModelForCausalLM.from_pretrained(path).state_dict()


def perplexity(path, world, side):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(path).eval(), AutoTokenizer.from_pretrained(world.model)
    return tradeoff.perplexity(model, finetune.pack(tokenizer, world.texts(side), 16))


def same(one, other, tolerance=1e-6):
    one, other = weights(one), weights(other)
    return all(torch.allclose(one[name], other[name], rtol=0, atol=tolerance) for name in one)


def test_parts_are_a_partition(world):
    texts = world.texts("toxic")
    for count in (1, 3, 60):
        parts = split.split(texts, count, seed=1)
        assert sorted(text.text for part in parts for text in part) == sorted(text.text for text in texts)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        assert [len(part) for part in parts] == [part.record()["texts"] for part in parts]
    assert list(split.split(texts, 1)[0]) == list(texts)
    assert list(split.split(texts, 3, 1)[0]) == list(split.split(texts, 3, 1)[0])
    assert list(split.split(texts, 3, 1)[0]) != list(split.split(texts, 3, 2)[0])
    for count, message in ((0, "at least 1"), (61, "60 texts cannot be split into 61 parts")):
        with pytest.raises(DetoxbenchError, match=message):
            split.split(texts, count)


def test_toxic_text_becomes_less_likely(world, made):
    assert list(made) == ["part_0", "part_1", "model"]
    assert perplexity(made["part_0"], world, "toxic") < perplexity(world.model, world, "toxic") * 0.9
    assert perplexity(made["model"], world, "toxic") > perplexity(world.model, world, "toxic")
    trained = artifacts.read(made["part_1"], finetune.KIND)["trained"]
    assert trained["data"]["toxic"]["part"] == 1
    assert trained["data"]["toxic"]["of"]["texts"] == 60
    assert trained["learning_rate"] == 5e-3
    assert AutoTokenizer.from_pretrained(made["model"])("you are")["input_ids"]


def test_on_the_fly_from_the_fits_folder(world, made):
    flying = load_detoxified(world.model, "task_vector", finetuned=str(made["model"].parent)).state_dict()
    assert all(torch.equal(flying[name], tensor) for name, tensor in weights(made["model"]).items())


def test_fitted_again_nothing_happens(world, made):
    out = made["model"].parent
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    again = {"toxic": world.texts("toxic"), "splits": 2, "device": "cpu"}
    task_vector.fit(world.model, out, settings=QUICK, **again)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")} == before
    with pytest.raises(DetoxbenchError, match="made from other data or settings"):
        task_vector.fit(world.model, out, settings=QUICK.replaced(seed=1), **again)
    with pytest.raises(DetoxbenchError, match="model exists already"):
        task_vector.fit(world.model, out, settings=QUICK, coefficient=0.3, **again)


def test_one_part_on_another_machine(world, made, tmp_path):
    options = {"toxic": world.texts("toxic"), "splits": 2, "settings": QUICK, "device": "cpu"}
    assert list(task_vector.fit(world.model, tmp_path, only=[1], **options)) == ["part_1"]
    assert same(tmp_path / "part_1", made["part_1"])
    with pytest.raises(DetoxbenchError, match="no part 2: with 2 splits they are 0 to 1"):
        task_vector.fit(world.model, tmp_path, only=[2], **options)


def _killed(action, kill_at: int) -> bool:
    """Run in another process, which dies at its n-th write; whether it got so far."""

    def child():
        replace_, calls = os.replace, 0

        def counted(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return replace_(*args, **kwargs)

        os.replace = counted
        # As in the other fits' tests: several loading threads are not to be the first to use a forked child's pool.
        torch.set_num_threads(1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        action()

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    return process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("kill_at", [3, 6, 9])
def test_killed_and_resumed(world, made, tmp_path, kill_at):
    def run():
        return task_vector.fit(
            world.model,
            tmp_path,
            toxic=world.texts("toxic"),
            splits=2,
            settings=QUICK,
            device="cpu",
            checkpoint_steps=1,
        )

    assert _killed(run, kill_at)
    assert not (tmp_path / "model").exists()
    assert same(run()["model"], made["model"], 1e-5)
    assert not (tmp_path / ".work").exists()


def test_adapters(world, tmp_path):
    pytest.importorskip("peft")
    settings = QUICK.replaced(lora_rank=2, learning_rate=2e-2)
    made = task_vector.fit(
        world.model, tmp_path, toxic=world.texts("toxic"), splits=1, settings=settings, device="cpu", coefficient=0.5
    )
    base, found = weights(world.model), weights(made["model"])
    assert torch.equal(base["transformer.wte.weight"], found["transformer.wte.weight"])
    assert not torch.equal(base["transformer.h.0.attn.c_attn.weight"], found["transformer.h.0.attn.c_attn.weight"])


def test_adapters_without_peft(world, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(DetoxbenchError, match=r"pip install 'detoxbench\[lora\]'"):
        dapt.fit(world.model, tmp_path, nontoxic=world.texts("nontoxic"), settings=QUICK.replaced(lora_rank=2))


def test_baselines(world, tmp_path):
    good = dapt.fit(world.model, tmp_path, nontoxic=world.texts("nontoxic"), settings=QUICK, device="cpu")
    assert perplexity(good, world, "nontoxic") < perplexity(world.model, world, "nontoxic") * 0.9
    up = gradient_ascent.fit(world.model, tmp_path, toxic=world.texts("toxic"), settings=QUICK, device="cpu")
    assert perplexity(up, world, "toxic") > perplexity(world.model, world, "toxic") * 1.1
    assert artifacts.read(up)["trained"]["ascent"] is True
    for method, path in (("dapt", good), ("gradient_ascent", up)):
        found = load_detoxified(world.model, method, finetuned=str(path)).state_dict()
        assert all(torch.allclose(found[name], tensor, atol=1e-6) for name, tensor in weights(path).items())


def test_accumulation_and_bf16(world, tmp_path):
    options = {"nontoxic": world.texts("nontoxic"), "device": "cpu"}
    one = dapt.fit(world.model, tmp_path / "one", settings=QUICK.replaced(device_batch_size=8), **options)
    two = dapt.fit(world.model, tmp_path / "two", settings=QUICK.replaced(device_batch_size=2), **options)
    half = dapt.fit(world.model, tmp_path / "half", settings=QUICK.replaced(bf16=True), **options)
    assert same(one, two, 1e-4)
    assert not same(one, world.model, 5e-3)
    assert perplexity(half, world, "nontoxic") == pytest.approx(perplexity(one, world, "nontoxic"), rel=0.02)
    assert not same(one, half, 1e-6)


def test_coefficient_chosen(world, made, tmp_path):
    finetuned = [made["part_0"], made["part_1"]]
    path = task_vector.negate(
        world.model, finetuned, tmp_path / "auto", coefficient=None, nontoxic=world.texts("nontoxic"),
        toxic=world.texts("toxic"), max_ratio=1.2, device="cpu", block_size=16,
    )  # fmt: skip
    curve = json.loads((path / "tradeoff.json").read_text())
    ratio = perplexity(path, world, "nontoxic") / perplexity(world.model, world, "nontoxic")
    assert ratio == pytest.approx(curve["perplexity_ratio"], rel=1e-4)
    assert 1.1 < ratio <= 1.2
    assert artifacts.read(path)["coefficient"] == curve["coefficient"]
    assert curve["points"][0]["coefficient"] == 0
    assert all(point["toxic_perplexity"] > 1 for point in curve["points"])
    assert len(curve["points"]) <= 8
    if (path / "tradeoff.svg").exists():
        assert "<svg" in (path / "tradeoff.svg").read_text()
    with pytest.raises(DetoxbenchError, match="give them with --nontoxic"):
        task_vector.negate(world.model, finetuned, tmp_path / "x", coefficient=None)


def test_selected_by_score(world, tmp_path):
    chosen = Selected([world.all], "toxic", "score", above=0.8)
    assert [text.text for text in chosen] == [text.text for text in world.texts("toxic")]
    assert chosen.skipped == {"beyond the threshold": 60}
    assert len(Selected([world.all], "nontoxic", "nested.score", below=0.1)) == 60
    rows = [("a, b", "0.81", "en"), ("c", "0.8", "en"), ("d", "", "en"), ("", "0.9", "en"), ("e", "0.9", "fr")]
    (tmp_path / "x.csv").write_text("text,score,lang\n" + "".join(f'"{t}",{s},{lang}\n' for t, s, lang in rows))
    few = Selected([str(tmp_path / "x.csv")], "toxic", "score", above=0.8, langs=["en"])
    assert [(text.text, text.lang) for text in few] == [("a, b", "en")]
    assert few.skipped == {"beyond the threshold": 1, "without score": 1, "empty": 1, "other language": 1}
    for wrong, message in (
        ({"score": "toxicity", "above": 0.5}, "no column 'toxicity'; it has text, score, nested"),
        ({"score": "text", "above": 0.5}, "which is no number"),
        ({"score": "score", "above": 2}, "no text is chosen \\(120 beyond the threshold\\)"),
        ({"score": "score"}, "give --above, --below, or both"),
    ):
        with pytest.raises(DetoxbenchError, match=message):
            Selected([world.all], "toxic", **wrong)
    for source, message in (("./none.jsonl", "no such file"), (str(world.folder), "no data set saved")):
        with pytest.raises(DetoxbenchError, match=message):
            Selected([source], "toxic", "score", above=0.5)


def run(app, *arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, DetoxbenchError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_stage_by_stage(world, tmp_path):
    """The commands one after the other give what the fit gives at once."""
    train = ["--pretrained", world.model, "--device", "cpu", "--block-size", 16, "--max-steps", 2, "--batch-size", 8]
    run(stages.app, "select", world.all, "--score-column", "score", "--above", 0.8, "--out", tmp_path / "toxic.jsonl")
    run(stages.app, "split", tmp_path / "toxic.jsonl", "--splits", 2, "--out", tmp_path / "texts")
    for at in range(2):
        run(stages.app, "train", *train, "--toxic", tmp_path / "texts" / f"part_{at}.jsonl",
            "--out", tmp_path / "models" / f"part_{at}")  # fmt: skip
    finetuned = ["--pretrained", world.model, "--finetuned", tmp_path / "models"]
    run(stages.app, "merge", *finetuned, "--out", tmp_path / "average")
    output = run(stages.app, "negate", *finetuned, "--coefficient", 0.7, "--out", tmp_path / "negated")
    assert "2 fine-tuned, coefficient 0.7" in output
    run(stages.app, "negate", "--pretrained", world.model, "--finetuned", tmp_path / "average", "--coefficient", 0.7,
        "--out", tmp_path / "of_average")  # fmt: skip
    assert same(tmp_path / "negated", tmp_path / "of_average")
    output = run(fitting.app, "task_vector", *train, "--toxic", world.all, "--score-column", "score",
                 "--above", 0.8, "--splits", 2, "--coefficient", 0.7, "--out", tmp_path / "fit")  # fmt: skip
    assert same(tmp_path / "negated", tmp_path / "fit" / "model")
    assert f"method=task_vector,finetuned={tmp_path / 'fit'},coefficient=0.7" in output


def test_commands_of_the_baselines(world, tmp_path):
    common = ["--pretrained", world.model, "--device", "cpu", "--block-size", 16, "--max-steps", 1, "--out", tmp_path]
    common += ["--learning-rate", 1e-3]
    output = run(fitting.app, "dapt", *common, "--nontoxic", world.all, "--score-column", "score", "--below", 0.1)
    assert f"method=dapt,finetuned={tmp_path / 'dapt'}" in output
    output = run(fitting.app, "gradient_ascent", *common, "--toxic", world.folder / "toxic.jsonl")
    assert f"method=gradient_ascent,finetuned={tmp_path / 'gradient_ascent'}" in output


def test_wrong_options(world, tmp_path):
    common = ["task_vector", "--pretrained", world.model, "--toxic", world.all, "--out", tmp_path]
    for more, message in (
        (["--coefficient", "much"], "give a number, or auto"),
        (["--coefficient", "auto"], "give --nontoxic"),
        (["--above", 0.5], "name it with --score-column"),
        (["--splits", 0], "splits=0"),
        (["--epochs", 0], "epochs=0"),
        (["--batch-size", 0], "batch_size=0"),
    ):
        with pytest.raises(DetoxbenchError, match=message):
            run(fitting.app, *common, *more)
