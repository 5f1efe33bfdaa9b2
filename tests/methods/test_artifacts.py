"""Artifacts that are not what they were: every loading notices, and a manifest that cannot be read is no excuse."""

from __future__ import annotations

import json
import os
import stat

import pytest
import torch
from transformers import AutoModelForCausalLM

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods import artifacts, load_detoxified
from detoxbench.methods.loading import load_model
from detoxbench.methods.rectification.value_model import ValueModel
from detoxbench.methods.retrieval.datastore import Datastore
from detoxbench.methods.training.finetune import KIND, save

PART = "model.safetensors"


@pytest.fixture
def tuned(new_tiny, tmp_path):
    """A base model without a manifest, and a fine-tuned one of ours."""
    new_tiny("gpt2", 0).save_pretrained(tmp_path / "base")
    save(new_tiny("gpt2", 1), None, tmp_path / "part", {"seed": 0}, KIND)
    return str(tmp_path / "base"), tmp_path / "part"


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(bytes(content))


def tried(action):
    """What it returns, and the error's message, empty where there is none."""
    try:
        return action(), ""
    except DetoxbenchError as error:
        return None, str(error)


USES = {
    "task_vector": lambda base, part: load_detoxified(base, "task_vector", finetuned=[str(part)]),
    "dapt": lambda base, part: load_detoxified(base, "dapt", finetuned=str(part)),
    "expert": lambda base, part: load_detoxified(base, "dexperts", expert=str(part)),
    "base": lambda base, part: load_detoxified(str(part)),
}


@pytest.mark.parametrize("use", USES)
def test_flipped_byte(tuned, use):
    base, part = tuned
    USES[use](base, part)
    flip(part / PART, -5)
    with pytest.raises(DetoxbenchError, match=r"model.safetensors is corrupted: its sha256 is .*copy it again"):
        USES[use](base, part)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b'{"schema": 1, "kind": "finetuned_model"}',
                b'{"kind": "finetuned_model", "files": {}}', b'{"schema": 1, "kind": "x", "files": {"../x": "0"}}',
                b'{"schema": 1, "kind": "x", "files": []}', b'{"schema": 99, "kind": "x", "files": {}}']
)  # fmt: skip
def test_broken_manifest(tuned, use, content):
    base, part = tuned
    (part / artifacts.MANIFEST).write_bytes(content)
    with pytest.raises(DetoxbenchError, match=r"manifest.json cannot be read|has schema 99"):
        USES[use](base, part)


@pytest.mark.parametrize("use", USES)
def test_unreadable_manifest(tuned, use):
    base, part = tuned
    (part / artifacts.MANIFEST).unlink()
    (part / artifacts.MANIFEST).mkdir()
    with pytest.raises(DetoxbenchError, match=r"manifest.json cannot be read: .*directory"):
        USES[use](base, part)


@pytest.mark.parametrize("use", USES)
def test_without_a_manifest_or_with_another_programs(tuned, use):
    base, part = tuned
    (part / artifacts.MANIFEST).write_text(json.dumps({"name": "app", "files": ["x"]}))
    USES[use](base, part)
    (part / artifacts.MANIFEST).unlink()
    USES[use](base, part)


def test_every_flipped_byte_of_a_manifest(tuned):
    """Refused in one line, or a fact that nothing is checked by; whatever is loaded was compared with its sha256."""
    _, part = tuned
    path = part / artifacts.MANIFEST
    whole = path.read_bytes()
    files = json.loads(whole)["files"]
    for at in range(len(whole)):
        flip(path, at)
        found, message = tried(lambda: artifacts.verified(part))
        assert "\n" not in message
        assert message or found["files"] == files
        path.write_bytes(whole)


@pytest.mark.parametrize("kind", ["datastore", "value_model"])
def test_every_flipped_byte_of_other_manifests(tiny, corpus, tmp_path, kind):
    model = tiny("gpt2", 0)
    folder = tmp_path / kind
    if kind == "datastore":
        Datastore.from_arrays(folder, *corpus(model, rows=2), model=model)
    else:
        ValueModel.from_causal_lm(model).save(folder)
    uses = {
        "datastore": lambda: Datastore.open(folder).check(model, "transformer.h.1.mlp", 1, "datastore"),
        "value_model": lambda: artifacts.verify(folder, artifacts.read(folder, kind)),
    }
    path = folder / artifacts.MANIFEST
    whole = path.read_bytes()
    for at in range(0, len(whole), 3):
        flip(path, at)
        _, message = tried(uses[kind])
        assert "\n" not in message
        path.write_bytes(whole)


def test_wrong_kind(tiny, corpus, tmp_path):
    model = tiny("gpt2", 0)
    Datastore.from_arrays(tmp_path / "store", *corpus(model, rows=2), model=model)
    with pytest.raises(DetoxbenchError, match="holds a datastore, not a causal LM"):
        load_model(str(tmp_path / "store"), "expert")


def test_missing_file(tuned):
    base, part = tuned
    (part / "generation_config.json").unlink()
    with pytest.raises(DetoxbenchError, match=r"generation_config.json is missing: the artifact is incomplete"):
        USES["dapt"](base, part)


def test_a_large_file_that_changed_is_read_again(tuned, monkeypatch):
    base, part = tuned
    monkeypatch.setattr(artifacts, "_STAMP_ABOVE", 10)
    USES["dapt"](base, part)
    assert PART in json.loads((part / ".verified.json").read_text())
    (part / ".verified.json").write_text("[]")
    USES["dapt"](base, part)
    before = (part / PART).stat()
    flip(part / PART, -5)
    os.utime(part / PART, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(DetoxbenchError, match="is corrupted"):
        USES["dapt"](base, part)


def test_umask_decides_who_may_read(tuned):
    _, part = tuned
    mask = os.umask(0)
    os.umask(mask)
    for path in part.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask, path.name


def test_same_weights_after_all(tuned):
    base, part = tuned
    found = load_detoxified(base, "dapt", finetuned=str(part)).state_dict()
    for name, tensor in AutoModelForCausalLM.from_pretrained(part).state_dict().items():
        torch.testing.assert_close(found[name], tensor, atol=1e-6, rtol=0)
