"""Artifacts through fsspec: whole or not at all, and the same bytes."""

from __future__ import annotations

import json
import uuid

import pytest

from detoxbench.core.errors import DetoxbenchError
from detoxbench.harness.sweep.store import Store


@pytest.fixture(params=["path", "file", "memory"])
def store(request, tmp_path):
    place = {
        "path": str(tmp_path / "store"),
        "file": (tmp_path / "store").as_uri(),
        "memory": f"memory://{uuid.uuid4().hex}",
    }[request.param]
    return Store(place, tmp_path / "cache")


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "made"
    (made / "toxic").mkdir(parents=True)
    (made / "toxic" / "keys.npy").write_bytes(bytes(range(256)))
    (made / "manifest.json").write_text("{}")
    (made / ".lock").write_text("")
    (made / ".work").mkdir()
    (made / ".work" / "state").write_text("")
    return made


def test_what_is_published_is_fetched(store, folder):
    assert store.find("a1") is None
    store.publish("a1", folder)
    found = store.fetch("a1")
    assert {path.relative_to(found).as_posix() for path in found.rglob("*") if path.is_file()} == {
        "toxic/keys.npy",
        "manifest.json",
    }
    assert (found / "toxic" / "keys.npy").read_bytes() == bytes(range(256))
    assert store.fetch("a1") == found


def test_a_kill_between_files_and_marker_publishes_nothing(store, folder, monkeypatch):
    monkeypatch.setattr(store.fs, "put_file", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        store.publish("a1", folder)
    assert store.find("a1") is None
    with pytest.raises(DetoxbenchError, match="is not in the store"):
        store.fetch("a1")
    monkeypatch.undo()
    store.publish("a1", folder)
    assert store.find("a1")


def test_a_second_publisher_does_not_mix_files(store, folder):
    store.publish("a1", folder)
    first = store.fetch("a1")
    (folder / "toxic" / "keys.npy").write_bytes(b"other")
    store.publish("a1", folder)
    assert (first / "toxic" / "keys.npy").read_bytes() == bytes(range(256))
    assert (store.fetch("a1") / "toxic" / "keys.npy").read_bytes() == b"other"


def test_a_changed_file_is_refused(folder, tmp_path):
    store = Store(f"memory://{uuid.uuid4().hex}", tmp_path / "cache")
    store.publish("a1", folder)
    token = store.find("a1")["folder"]
    store.fs.pipe_file(store._path("a1", token, "manifest.json"), b"[]")
    with pytest.raises(DetoxbenchError, match=r"manifest\.json: not what was published"):
        store.fetch("a1")
    assert not list((tmp_path / "cache").iterdir())


def test_protocols(tmp_path):
    with pytest.raises(DetoxbenchError, match="no URL that fsspec opens"):
        Store("nowhere://x", tmp_path)
    try:
        import s3fs  # noqa: F401
    except ImportError:
        with pytest.raises(DetoxbenchError, match=r"pip install 'detoxbench\[s3\]'"):
            Store("s3://bucket/x", tmp_path)


@pytest.mark.parametrize("marker", [
    {"folder": "0" * 12, "files": {"../../stolen": "0"}},
    {"folder": "0" * 12, "files": {"/stolen": "0"}},
    {"folder": "0" * 12, "files": {"a/../../../stolen": "0"}},
    {"folder": "0" * 12, "files": {"a\\..\\stolen": "0"}},
    {"folder": "../" * 4, "files": {}},
    {"folder": "0" * 12, "files": {"a": 1}},
    {"folder": "0" * 12},
    [],
    None,
])  # fmt: skip
def test_a_marker_reaches_nothing_but_its_artifact(store, tmp_path, marker):
    """Whoever may write to a shared store must not write elsewhere on the machines that read it."""
    store.fs.makedirs(store.root, exist_ok=True)
    store.fs.pipe_file(store._path("a1.json"), json.dumps(marker).encode())
    with pytest.raises(DetoxbenchError, match=r"a1.json' cannot be read: .*; remove it"):
        store.fetch("a1")
    assert not any("stolen" in path.name for path in tmp_path.rglob("*"))
