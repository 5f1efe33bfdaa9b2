"""Datastores on disk: search, growth, interruption, corruption."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detoxbench.core import files
from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods import artifacts
from detoxbench.methods.retrieval import arrays, exact
from detoxbench.methods.retrieval.datastore import Datastore

KEYS = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
TOKENS = np.arange(300, dtype=np.int64) % 61


@pytest.fixture
def store(tmp_path):
    return Datastore.from_arrays(tmp_path / "store", KEYS, TOKENS, model="someone/model")


def brute_force(queries: np.ndarray, keys: np.ndarray, k: int):
    distances = ((queries[:, None].astype(np.float64) - keys[None].astype(np.float16).astype(np.float64)) ** 2).sum(-1)
    ids = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, ids, 1), ids


@given(st.integers(0, 1000), st.integers(1, 60), st.integers(1, 5), st.floats(0, 50))
@settings(max_examples=30, deadline=None)
def test_exact_search(seed, k, rows, shift):
    generator = np.random.default_rng(seed)
    keys = (generator.normal(size=(60, 5)) + shift).astype(np.float16)
    queries = (generator.normal(size=(rows, 5)) + shift).astype(np.float32)
    wanted, _ = brute_force(queries, keys, k)
    for resident in (exact.RESIDENT, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exact, "RESIDENT", resident)
            patch.setattr(exact, "BLOCK", 16)
            found, found_ids = exact.ExactSearch(keys).search(torch.from_numpy(queries), k)
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-4, rtol=1e-4)
        picked = ((queries[:, None] - keys[found_ids.numpy()].astype(np.float64)) ** 2).sum(-1)
        np.testing.assert_allclose(picked, wanted, atol=1e-4, rtol=1e-4)


def test_layout_is_plain_numpy(store):
    assert np.array_equal(np.load(store.path / "keys.npy"), KEYS.astype(np.float16))
    assert np.array_equal(np.load(store.path / "values.npy", mmap_mode="r"), TOKENS.astype(np.int32))
    assert isinstance(store.keys, np.memmap)
    manifest = json.loads((store.path / "manifest.json").read_text())
    assert (manifest["count"], manifest["dim"], manifest["dtype"], manifest["index"]) == (300, 8, "float16", None)


def test_search(store):
    found = store.search(torch.from_numpy(KEYS[:4]).bfloat16(), 3)
    assert found.ids[:, 0].tolist() == [0, 1, 2, 3]
    assert found.tokens[:, 0].tolist() == [0, 1, 2, 3]
    assert (found.tokens.dtype, found.distances.shape) == (torch.int64, (4, 3))
    with pytest.raises(DetoxbenchError, match=r"k=301, but datastore .* has 300 keys"):
        store.search(torch.zeros(1, 8), 301)


def test_one_key(tmp_path):
    store = Datastore.from_arrays(tmp_path / "one", KEYS[:1], TOKENS[:1], model="m")
    assert store.search(torch.zeros(2, 8), 1).ids.tolist() == [[0], [0]]


def test_append(store):
    store.append(KEYS[:50] + 9, TOKENS[:50])
    assert store.count == 350
    assert store.search(torch.from_numpy(KEYS[7:8] + 9), 1).ids.tolist() == [[307]]
    again = Datastore.open(store.path)
    assert np.array_equal(np.load(store.path / "keys.npy")[300:], (KEYS[:50] + 9).astype(np.float16))
    assert np.array_equal(again.values, np.concatenate([TOKENS, TOKENS[:50]]))
    assert len(again.manifest["parts"]) == 2


@pytest.mark.parametrize("stage", ["values", "manifest"])
def test_an_interrupted_append_never_happened(store, monkeypatch, stage):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if stage == "values":
            original = arrays.append
            patch.setattr(
                arrays, "append", lambda path, *a: interrupted() if "values" in path.name else original(path, *a)
            )
        else:
            patch.setattr(files, "write_json", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.append(KEYS[:50], TOKENS[:50])
    again = Datastore.open(store.path)
    assert again.count == 300
    assert np.array_equal(again.keys, KEYS.astype(np.float16))
    again.append(KEYS[:20], TOKENS[:20])
    assert Datastore.open(store.path).count == 320


def test_an_interrupted_start_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "write_json", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Datastore.from_arrays(tmp_path / "store", KEYS, TOKENS, model="m")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["keys.npy", "values.npy"])
def test_missing_and_corrupted_files(store, name):
    path = store.path / name
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DetoxbenchError, match=rf"{name} is corrupted: its sha256"):
        Datastore.open(store.path)
    path.write_bytes(bytes(content[:-10]))
    with pytest.raises(DetoxbenchError, match=rf"{name} is corrupted"):
        Datastore.open(store.path)
    path.unlink()
    with pytest.raises(DetoxbenchError, match=rf"{name} is missing"):
        Datastore.open(store.path)


def test_manifest_errors(store):
    path = store.path / "manifest.json"
    good = json.loads(path.read_text())
    for content, cause in (
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        (json.dumps({**good, "kind": "value_model"}), "holds a value model, not a datastore"),
        (json.dumps({**good, "schema": 99}), "has schema 99; this version reads 1"),
        (json.dumps({"schema": 1, "kind": "datastore"}), "is incomplete: 'dim'"),
    ):
        path.write_text(content)
        with pytest.raises(DetoxbenchError, match=cause):
            Datastore.open(store.path)


def test_array_errors(tmp_path, tiny, store):
    path = tmp_path / "new"
    for keys, values, model, cause in (
        (KEYS, TOKENS[:-1], "m", r"\[300, 8\] and \[299\]"),
        (KEYS[0], TOKENS, "m", r"they must be \[count, dim\]"),
        (KEYS[:0], TOKENS[:0], "m", "at least one key"),
        (KEYS, TOKENS - 1, "m", "token ids from -1 to"),
        (KEYS, TOKENS + 5, tiny("gpt2", 0), r"token ids from 5 to 65; the vocabulary has 0 to 60"),
        (KEYS * 1e6, TOKENS, "m", "row 0 of keys is not a finite float16"),
        (np.where(np.arange(300)[:, None] == 7, np.nan, KEYS), TOKENS, "m", "row 7 of keys"),
    ):
        with pytest.raises(DetoxbenchError, match=cause):
            Datastore.from_arrays(path, keys, values, model=model)
        assert not path.exists()
    with pytest.raises(DetoxbenchError, match=r"exists already"):
        Datastore.from_arrays(store.path, KEYS, TOKENS, model="m")
    with pytest.raises(DetoxbenchError, match=r"dimension 8, not 4"):
        store.append(KEYS[:, :4], TOKENS)


def test_large_files_are_hashed_once(store, monkeypatch):
    monkeypatch.setattr(artifacts, "_STAMP_ABOVE", 0)
    Datastore.open(store.path)
    monkeypatch.setattr(files, "sha256", lambda *args: 1 / 0)
    Datastore.open(store.path)
    monkeypatch.undo()
    monkeypatch.setattr(artifacts, "_STAMP_ABOVE", 0)
    content = bytearray((store.path / "keys.npy").read_bytes())
    content[-1] ^= 1
    (store.path / "keys.npy").write_bytes(bytes(content))
    with pytest.raises(DetoxbenchError, match=r"corrupted"):
        Datastore.open(store.path)


def test_only_a_name_is_known(store, tiny, new_tiny):
    model = new_tiny("gpt2", 0, n_embd=8)
    model.config.name_or_path = model.name_or_path = "mirror/model"
    store.check(model, "transformer.h.1.mlp", 5, "datastore")
    model.name_or_path = "other"
    with pytest.raises(DetoxbenchError, match=r"another model .*'someone/model' instead of 'other'"):
        store.check(model, "transformer.h.1.mlp", 5, "datastore")
