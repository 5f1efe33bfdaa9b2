"""Folders and files are called by what is in them, wherever they lie; everything else stays as it is."""

from __future__ import annotations

import pytest

from detoxbench.core.fluency import weights_sha256
from detoxbench.core.local_names import named


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "vectors").mkdir()
    (tmp_path / "vectors" / "manifest.json").write_text("{}")
    return tmp_path / "vectors"


HUB = ["mini", "gpt2", "owner/model", "hf:owner/model,label=toxic", "https://host/v1", "/no/such"]
OTHERS = ["", "The following text: it is a/b", "a;b", "x" * 9000 + "/", 3, None, 2.5, True]


@pytest.mark.parametrize("value", HUB + OTHERS)
def test_what_is_no_path_here_stays(value):
    assert named(value) == value


def test_two_machines_say_the_same(folder, tmp_path):
    other = tmp_path / "elsewhere" / "vectors"
    other.mkdir(parents=True)
    (other / "manifest.json").write_text("{}")
    (other / "README.md").write_text("a card")
    (other / ".lock").write_text("")
    assert named(str(folder)) == named(str(other)) == named(folder)
    assert named(str(folder)).startswith("vectors@sha256:")
    assert str(tmp_path) not in str(named({"vectors": [str(folder)], "scorer": f"ngram:{folder},window=3"}))
    assert named(f"ngram:{folder},window=3") == f"ngram:{named(str(folder))},window=3"
    assert named(f"{folder};owner/model") == f"{named(str(folder))};owner/model"
    (folder / "manifest.json").write_text('{"a": 1}')
    assert named(str(folder)) != named(str(other))


def test_a_folder_by_its_name_alone(folder, tmp_path, monkeypatch):
    """``pretrained=gpt2`` beside a folder ``gpt2`` is that folder's model, not the hub's."""
    (tmp_path / "gpt2" / "part_0").mkdir(parents=True)
    (tmp_path / "gpt2" / "part_0" / "config.json").write_text("{}")
    (tmp_path / "linear").mkdir()
    monkeypatch.chdir(tmp_path)
    assert named("vectors") == named(str(folder))
    assert named("gpt2").startswith("gpt2@sha256:")
    assert named("linear") == "linear"
    assert named(".") != "."


def test_a_model_is_called_as_a_fluency_model_is(folder):
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    assert named(str(folder)) == f"vectors@sha256:{weights_sha256(folder)[:12]}"
