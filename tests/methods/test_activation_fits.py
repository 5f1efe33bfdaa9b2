"""Fits of what looks at hidden states: from texts to a method in use, killed on the way, and what each leaves alone."""

from __future__ import annotations

import json

import pytest
import torch
from tiny_models import ACTIVATION
from typer.testing import CliRunner

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.registry import METHODS
from detoxbench.harness.cli.fit import app
from detoxbench.methods import artifacts, load_detoxified
from detoxbench.methods.activation import responses
from detoxbench.methods.artifact_arguments import fit_settings, naming
from detoxbench.methods.training.pairs import Pairs

FITTED = [*(name for name in ACTIVATION if METHODS[name].fit is not None), "profs"]
PAIRED = [name for name in FITTED if METHODS[name].fit.pairs]
SMALL = {"texts": 24, "count": 20, "ranks": 4, "batch_size": 4}
OFF = {"strength": 0.0, "alpha": 0.0}
IDS = torch.tensor([[3, 4, 5, 6]])


def settings(method):
    known = METHODS[method].fit.settings.model_fields
    return fit_settings(method, {name: value for name, value in SMALL.items() if name in known})


def fitted(method, model, out, texts):
    return METHODS[method].fit.run(model, out, texts=texts, settings=settings(method), device="cpu")


def content(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*.safetensors") if ".work" not in path.parts}


@pytest.fixture
def pairs(tmp_path):
    rows = [
        {"toxic": f"you are an idiot {'moron ' * at}", "neutral": f"we thank our teacher {'day ' * at}"}
        for at in range(1, 9)
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Pairs([str(path)])


@pytest.mark.parametrize("method", FITTED)
def test_from_texts_to_use(world, tmp_path, method):
    made = fitted(method, world.model, tmp_path, world.sides())
    given = naming(method, tmp_path, {})
    assert given
    base = load_detoxified(world.model)
    with torch.no_grad():
        steered = load_detoxified(world.model, method, **given)(IDS).logits
        off = {name: value for name, value in OFF.items() if name in METHODS[method].Arguments.model_fields}
        assert torch.equal(load_detoxified(world.model, method, **off, **given)(IDS).logits, base(IDS).logits)
        assert float((steered - base(IDS).logits).abs().max()) > 1e-4
    trained = artifacts.read(next(iter(made.paths.values())))["trained"]
    assert trained["base"]["name"] == "model"
    assert made.rows[0]["vectors"] == str(next(iter(made.paths.values())))
    before = content(tmp_path)
    assert fitted(method, world.model, tmp_path, world.sides()).paths == made.paths
    assert content(tmp_path) == before
    with pytest.raises(DetoxbenchError, match="made from other data or settings"):
        METHODS[method].fit.run(
            world.model, tmp_path, texts=world.sides(), settings=settings(method).replaced(seed=1), device="cpu"
        )


@pytest.mark.parametrize("method", FITTED)
def test_killed_at_any_write(world, tmp_path, method, processes, monkeypatch):
    """The same artifact, whenever it was killed, and nothing left of the work."""
    monkeypatch.setattr(responses, "CHUNK", 10)
    fitted(method, world.model, tmp_path / "whole", world.sides())
    at = 1
    while processes.killed(lambda: fitted(method, world.model, tmp_path / "killed", world.sides()), at):
        assert at < 60
        at += 2
    fitted(method, world.model, tmp_path / "killed", world.sides())
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
    assert not (tmp_path / "killed" / ".work").exists()


@pytest.mark.parametrize("method", PAIRED)
def test_pairs(world, tmp_path, pairs, method, capsys):
    made = fitted(method, world.model, tmp_path, {"pairs": pairs})
    trained = artifacts.read(next(iter(made.paths.values())))["trained"]
    assert trained["pairs"] == 8
    assert trained["data"]["pairs"] == pairs.record()
    assert "side by side" not in capsys.readouterr().err
    fitted(method, world.model, tmp_path / "made_up", world.sides())
    assert "toxic and non-toxic texts of one language are put side by side at random" in capsys.readouterr().err
    with pytest.raises(DetoxbenchError, match="needs nontoxic texts, or --pairs"):
        METHODS[method].fit.of_its_sides({"toxic": world.texts("toxic")})


@pytest.mark.parametrize("method", PAIRED)
def test_the_command_reads_pairs(world, tmp_path, method):
    path = tmp_path / "pairs.tsv"
    path.write_text("rude\tclean1\tclean2\n" + "you idiot\tthank you\tlovely day\n" * 6)
    options = ["--pairs", str(path), "--toxic-column", "rude", "--neutral-column", "clean", "--device", "cpu"]
    result = CliRunner().invoke(app, [method, "--pretrained", world.model, "--out", str(tmp_path / "out"), *options])
    assert result.exit_code == 0, result.output
    assert "pairs: 12" in result.output
    assert f"method={method},vectors={tmp_path / 'out' / method}" in result.output.replace("\n", "")


def test_a_side_of_one_language_alone(world, tmp_path):
    german, english = world.texts("toxic", langs=("de",)), world.texts("nontoxic", langs=("en",))
    with pytest.raises(DetoxbenchError, match="no language has both toxic and non-toxic texts"):
        fitted("profs", world.model, tmp_path, {"toxic": german, "nontoxic": english})


@pytest.mark.parametrize("method", ACTIVATION)
@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gemma3_text", "qwen3", "mixtral"])
def test_no_strength_is_the_base_model(tiny, artifacts, architecture, method):
    """Bit for bit, in a padded batch and in half precision too."""
    model, given = tiny(architecture, 0), artifacts(architecture, method)
    off = {name: value for name, value in OFF.items() if name in METHODS[method].Arguments.model_fields}
    ids = torch.tensor([[0, 0, 3, 4, 5], [1, 2, 3, 4, 5]])
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    lm = load_detoxified(model, method, **{**given, **off})
    with torch.no_grad():
        wanted = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False).logits
        assert torch.equal(lm(ids, mask).logits, wanted)
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in model.modules())
