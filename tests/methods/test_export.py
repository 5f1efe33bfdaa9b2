"""A method as a plain checkpoint: what transformers loads is what the method does at run time."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from tiny_models import REGISTERED
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from detoxbench.core.errors import DetoxbenchError
from detoxbench.harness.cli.export import app
from detoxbench.methods import load_detoxified
from detoxbench.methods.export import export, exportable

IDS = torch.tensor([[3, 4, 5, 6]])
ARCHITECTURES = ["gpt2", "llama", "gemma3_text", "qwen3", "mixtral", "qwen2_moe"]
DIFFERENCES = ["task_vector", "negation", "dapt", "gradient_ascent"]


def scores(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


@pytest.mark.parametrize("method", ["aura", "profs"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_is_the_method(tiny, artifacts, tmp_path, architecture, method):
    """Under the names on disk, those of a mixture's experts among them."""
    base, given = tiny(architecture, 0), artifacts(architecture, method)
    base.save_pretrained(tmp_path / "base")
    export(str(tmp_path / "base"), method, tmp_path / "out", given)
    exported = scores(AutoModelForCausalLM.from_pretrained(tmp_path / "out"))
    torch.testing.assert_close(exported, scores(load_detoxified(base, method, **given)), atol=1e-4, rtol=1e-4)
    files = [load_file(tmp_path / one / "model.safetensors") for one in ("base", "out")]
    assert files[0].keys() == files[1].keys()
    assert {name: one.dtype for name, one in files[0].items()} == {name: one.dtype for name, one in files[1].items()}
    export(str(tmp_path / "base"), method, tmp_path / "off", {**given, "strength": 0.0})
    assert torch.equal(scores(AutoModelForCausalLM.from_pretrained(tmp_path / "off")), scores(base))


@pytest.mark.parametrize("method", [*DIFFERENCES, "dpo"])
def test_fine_tuned_checkpoints(world, tmp_path, save_tiny, method):
    tuned = str(save_tiny(tmp_path / "tuned", seed=5))
    path = export(world.model, method, tmp_path / "out", {"finetuned": tuned})
    wanted = scores(load_detoxified(world.model, method, finetuned=tuned))
    torch.testing.assert_close(scores(AutoModelForCausalLM.from_pretrained(path)), wanted, atol=1e-4, rtol=1e-4)
    assert AutoTokenizer.from_pretrained(path).get_vocab() == AutoTokenizer.from_pretrained(world.model).get_vocab()
    card = (path / "README.md").read_text()
    assert f"`model` under the detoxification method `{method}`" in card
    assert REGISTERED[method].about.bibtex in card
    assert str(tmp_path) not in card
    stamp = (path / "model.safetensors").stat().st_mtime_ns
    assert export(world.model, method, tmp_path / "out", {"finetuned": tuned}) == path
    assert (path / "model.safetensors").stat().st_mtime_ns == stamp


def test_the_command(world, tmp_path, save_tiny):
    tuned = str(save_tiny(tmp_path / "tuned", seed=5))
    options = ["--pretrained", world.model, "--finetuned", tuned, "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, ["negation", *options, "--coefficient", "0.5", "--dtype", "bfloat16"])
    assert result.exit_code == 0, result.output
    assert "lm_eval --model hf" in result.output
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert model.dtype == torch.bfloat16
    wrong = CliRunner().invoke(app, ["negation", *options[:-1], str(tmp_path / "no"), "--coefficient", "much"])
    assert isinstance(wrong.exception, DetoxbenchError)
    assert "argument coefficient='much'" in str(wrong.exception)


def test_what_works_at_run_time_alone(world, tmp_path):
    assert [name for name in REGISTERED if exportable(name)] == sorted([*DIFFERENCES, "aura", "dpo", "profs"])
    with pytest.raises(DetoxbenchError, match="method 'dexperts' works while the model runs"):
        export(world.model, "dexperts", tmp_path / "out")
    with pytest.raises(DetoxbenchError, match="'negation' needs finetuned"):
        export(world.model, "negation", tmp_path / "out")
    assert not (tmp_path / "out").exists()
