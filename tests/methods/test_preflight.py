"""Artifacts are looked at before the base model is loaded: right ones pass, wrong ones are one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_models import VOCAB

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.registry import METHODS
from detoxbench.harness.model import DetoxLM
from detoxbench.methods import apply, preflight
from detoxbench.methods.artifacts import write_manifest
from detoxbench.methods.gedi.classes import ClassModel
from detoxbench.methods.rectification.value_model import ValueModel
from detoxbench.methods.retrieval.datastore import Datastore

TOKENIZER = SimpleNamespace(save_pretrained=lambda _: None)
WITH_ARTIFACTS = [name for name in METHODS if METHODS[name].uses]
WEIGHTS = [
    name for name in WITH_ARTIFACTS if METHODS[name].kind == "weight" and METHODS[name].fit.artifacts[0].kind is None
]


@pytest.fixture(scope="module")
def base(tiny, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("base")
    tiny("gpt2", 0).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def unloaded(monkeypatch):
    """No model is loaded."""
    monkeypatch.setattr(apply, "load_model", lambda *_, **__: pytest.fail("the base model was loaded"))
    monkeypatch.setattr("lm_eval.models.huggingface.HFLM.__init__", lambda *_, **__: pytest.fail("loaded"))


def on_disk(arguments, folder: Path):
    """Loaded artifacts of the fixtures as folders."""
    found = {}
    for name, value in arguments.items():
        if isinstance(value, ClassModel):
            value.save(folder / name, TOKENIZER)
        elif hasattr(value, "save"):
            value.save(folder / name)
        elif hasattr(value, "save_pretrained"):
            value.save_pretrained(folder / name)
        found[name] = str(folder / name) if (folder / name).is_dir() else value
    return found


def refused(method, base, arguments, match):
    """By the lm-eval model and by the library, before anything is loaded."""
    for load in (lambda: DetoxLM(base, method, device="cpu", **arguments),
                 lambda: apply.load_detoxified(base, method, **arguments)):  # fmt: skip
        with pytest.raises(DetoxbenchError, match=match) as caught:
            load()
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("method", [name for name in WITH_ARTIFACTS if name not in WEIGHTS])
def test_right_artifacts_pass(method, base, artifacts, tmp_path):
    given = on_disk(artifacts("gpt2", method), tmp_path)
    preflight.check(method, given, base)
    apply.load_detoxified(base, method, **given)


@pytest.mark.parametrize("method", WEIGHTS)
def test_right_checkpoints_pass(method, base, tiny, tmp_path):
    tiny("gpt2", 1).save_pretrained(tmp_path / "one")
    tiny("gpt2", 2).save_pretrained(tmp_path / "part_0")
    for given in (str(tmp_path / "one"), [str(tmp_path / "one")], str(tmp_path / "part_0")):
        if isinstance(given, str) or METHODS[method].uses[0].many:
            preflight.check(method, {"finetuned": given}, base)
    if METHODS[method].uses[0].many:
        shutil.rmtree(tmp_path / "one")
        preflight.check(method, {"finetuned": str(tmp_path)}, base)


@pytest.mark.parametrize("method", WITH_ARTIFACTS)
def test_without_any(method, base, unloaded):
    refused(method, base, {}, f"^method '{method}' needs .*=….*detoxbench fit")


@pytest.mark.parametrize("method", WITH_ARTIFACTS)
def test_a_folder_that_is_not_there(method, base, unloaded, tmp_path):
    argument = METHODS[method].uses[0].argument
    refused(method, base, {argument: str(tmp_path / "nowhere")}, rf"{argument}.*nowhere|nowhere.*{argument}")


@pytest.mark.parametrize("method", WITH_ARTIFACTS)
def test_an_artifact_of_another_kind(method, base, unloaded, tiny, tmp_path):
    (tmp_path / "x").mkdir()
    save_file({"a": torch.zeros(1)}, tmp_path / "x" / "model.safetensors")
    (tmp_path / "x" / "config.json").write_text("{}")
    kind = "probe" if METHODS[method].fit.artifacts[0].kind != "probe" else "datastore"
    write_manifest(tmp_path / "x", kind)
    refused(method, base, {METHODS[method].uses[0].argument: str(tmp_path / "x")}, f"holds a {kind}")


@pytest.mark.parametrize("method", WITH_ARTIFACTS)
def test_a_file_that_was_changed(method, base, unloaded, artifacts, tiny, tmp_path):
    """By one byte, under a manifest of ours: its sha256 says so."""
    argument = METHODS[method].uses[0].argument
    if method in WEIGHTS:
        tiny("gpt2", 1).save_pretrained(tmp_path / argument)
        write_manifest(tmp_path / argument, "finetuned_model")
        given = {argument: str(tmp_path / argument)}
    else:
        given = on_disk(artifacts("gpt2", method), tmp_path)
        folder = shutil.copytree(given[argument], tmp_path / "copy")
        if not (folder / "manifest.json").is_file():
            write_manifest(folder, "finetuned_model")
        given[argument] = str(folder)
    folder = Path(given[argument])
    file = max(
        (one for one in folder.iterdir() if one.suffix in (".safetensors", ".npy")), key=lambda f: f.stat().st_size
    )
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    refused(method, base, given, "sha256|corrupted")


@pytest.mark.parametrize("method", ["dexperts", "dapt", "task_vector", "rectification"])
def test_another_vocabulary(method, base, unloaded, new_tiny, tmp_path):
    other = new_tiny("gpt2", 1, vocab_size=VOCAB + 5)
    if method == "rectification":
        ValueModel.from_causal_lm(other).save(tmp_path / "x")
    else:
        other.save_pretrained(tmp_path / "x")
    argument = METHODS[method].uses[0].argument
    refused(
        method, base, {argument: str(tmp_path / "x")}, f"vocabulary of {VOCAB + 5} tokens, the base model of {VOCAB}"
    )


@pytest.mark.parametrize(("method", "argument"), [("knn_lm", "datastore"), ("goodtriever", "toxic_datastore")])
def test_a_datastore_of_another_model(method, argument, base, unloaded, tiny, tmp_path):
    model = tiny("gpt2", 0)
    Datastore.from_arrays(tmp_path / "dim", np.ones((9, 3)), np.ones(9, dtype=int), model=model)
    refused(method, base, {argument: str(tmp_path / "dim")}, "keys of dimension 3, the model's are of")
    Datastore.from_arrays(tmp_path / "kind", np.ones((9, 16)), np.ones(9, dtype=int), model=tiny("llama", 0))
    refused(method, base, {argument: str(tmp_path / "kind")}, "made with another model .*model_type llama")


@pytest.mark.parametrize("method", [name for name in WITH_ARTIFACTS if METHODS[name].kind == "activation"])
def test_vectors_of_a_wider_model(method, unloaded, artifacts, new_tiny, tmp_path):
    new_tiny("gpt2", 0, n_embd=32).save_pretrained(tmp_path / "wide")
    refused(method, str(tmp_path / "wide"), artifacts("gpt2", method), r"\w")


def test_a_checkpoint_that_was_cut_off(base, unloaded, tiny, tmp_path):
    tiny("gpt2", 1).save_pretrained(tmp_path / "x")
    file = tmp_path / "x" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    for method, argument in (("dexperts", "expert"), ("dapt", "finetuned")):
        refused(method, base, {argument: str(tmp_path / "x")}, "model.safetensors")


def test_a_manifest_that_is_broken(base, unloaded, tiny, tmp_path):
    tiny("gpt2", 1).save_pretrained(tmp_path / "x")
    (tmp_path / "x" / "manifest.json").write_text(json.dumps({"schema": 1, "kind": 3, "files": {}}))
    refused(
        "dexperts", base, {"antiexpert": str(tmp_path / "x")}, "argument antiexpert: .*manifest.json cannot be read"
    )


def test_hub_names_are_left_to_loading(base):
    preflight.check("dexperts", {"expert": "owner/name"}, base)
    preflight.check("dexperts", {"expert": "owner/name"}, "owner/base")
    with pytest.raises(DetoxbenchError, match="no such folder"):
        preflight.check("knn_lm", {"datastore": "owner/name"}, base)
