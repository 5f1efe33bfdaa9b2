"""The approximate index."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detoxbench.core import files
from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods.retrieval import index
from detoxbench.methods.retrieval.datastore import Datastore
from detoxbench.methods.retrieval.knn import probabilities

KEYS = np.random.default_rng(0).normal(size=(5000, 16)).astype(np.float16)
TOKENS = np.arange(5000) % 40


@pytest.fixture
def small(monkeypatch):
    """An approximate index from 4,000 keys on, so that tests stay short."""
    pytest.importorskip("faiss")
    monkeypatch.setattr(index, "EXACT_BELOW", 4000)


def test_sizes():
    assert [index.lists(n, 192) for n in (65_536, 100_000, 1_000_000, 50_000_000)] == [1024, 1024, 4096, 32_768]
    assert [index.lists(n, 1024) for n in (1_000_000, 50_000_000)] == [4096, 8192]
    assert [index.sample_size(n, 1024) for n in (10_000, 100_000, 50_000_000)] == [10_000, 65_536, 131_072]
    assert [index.quantiser(dim) for dim in (768, 192, 97)] == ["PQ128x4fs", "PQ96x4fs", "PQ97x4fs"]
    assert [index.quantiser(dim, bits=8) for dim in (768, 100, 12)] == ["PQ64", "PQ50", "PQ12"]


@given(st.integers(1, 10**9), st.integers(8, 16_384))
def test_lists_are_a_power_of_two_with_enough_points(count, dim):
    lists, sample = index.lists(count, dim), index.sample_size(count, dim)
    assert lists & (lists - 1) == 0
    assert lists <= max(1, count / 39 * 2**0.5)
    assert 1 <= sample <= count
    assert sample * dim * 4 <= index.SAMPLE_BYTES  # memory does not grow with the datastore
    assert sample >= min(count, index.LEAST_POINTS * lists)


def test_recall_and_growth(small, tmp_path):
    store = Datastore.from_arrays(tmp_path / "s", KEYS[:4500], TOKENS[:4500], model="m")
    first = store.manifest["index"]
    assert (first["kind"], first["trained_on"]) == ("ivf_pq", 4500)
    assert store.manifest["recall"]["value"] > 0.5
    store.append(KEYS[4500:], TOKENS[4500:])
    second = store.manifest["index"]
    assert second["trained_on"] == 4500
    assert not (store.path / first["file"]).exists()
    found = Datastore.open(store.path).search(torch.from_numpy(KEYS[4990:].astype(np.float32)), 5)
    assert (found.ids == torch.arange(4990, 5000)[:, None]).any(1).float().mean() > 0.8
    store.append(KEYS[:10] + 1, TOKENS[:10], retrain=True)
    assert store.manifest["index"]["trained_on"] == 5010
    exact = Datastore.open(store.path, exact=True).search(torch.from_numpy(KEYS[:3].astype(np.float32)), 1)
    assert exact.ids.flatten().tolist() == [0, 1, 2]


def test_small_stores_get_an_index_once_they_are_large(small, tmp_path):
    store = Datastore.from_arrays(tmp_path / "s", KEYS[:1000], TOKENS[:1000], model="m")
    wanted = Datastore.from_arrays(tmp_path / "e", KEYS[:1000], TOKENS[:1000], model="m", exact=True)
    assert store.manifest["index"] is None
    store.append(KEYS[1000:], TOKENS[1000:])
    wanted.append(KEYS[1000:], TOKENS[1000:])
    assert store.manifest["index"]["trained_on"] == 5000
    assert wanted.manifest["index"] is None


def test_missing_neighbours_count_for_nothing(small, tmp_path, monkeypatch):
    """faiss answers with the id -1 where the lists looked into hold fewer than k keys."""
    monkeypatch.setattr(index, "NPROBE", 1)
    store = Datastore.from_arrays(tmp_path / "s", KEYS, TOKENS, model="m")
    found = store.search(torch.from_numpy(KEYS[:6].astype(np.float32)), 1000)
    missing = found.ids < 0
    assert missing.any()
    assert found.distances[missing].isinf().all()
    p = probabilities(found, 5.0, 40)
    torch.testing.assert_close(p.sum(-1), torch.ones(6))
    real = (-found.distances[0, ~missing[0]] / 5.0).softmax(-1)
    by_hand = torch.zeros(40).scatter_add_(0, found.tokens[0, ~missing[0]], real)
    torch.testing.assert_close(p[0], by_hand)


def test_a_gpu_is_used_where_faiss_finds_one(small, tmp_path, monkeypatch):
    """faiss for the CPU has no GPU functions: made-up ones show what is asked of them."""
    faiss = index.faiss_module()
    moved = []

    def move(resources, device, found, options):
        assert options.useFloat16  # float32 tables of 64-byte codes are refused
        moved.append((device, type(found).__name__, found.nprobe))
        if len(moved) > 3:
            raise RuntimeError("out of memory")
        return found

    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1, raising=False)
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "GpuClonerOptions", types.SimpleNamespace, raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", move, raising=False)
    store = Datastore.from_arrays(tmp_path / "s", KEYS, TOKENS, model="m")
    assert store.manifest["index"]["code_bytes"] == 16
    queries = torch.from_numpy(KEYS[:9].astype(np.float32))
    on_gpu = store.search(queries, 5)
    assert moved == [(0, "IndexIVFPQ", index.NPROBE)] * 3  # recall and distances are measured with the first two
    assert torch.equal(Datastore.open(store.path).search(queries, 5).ids, on_gpu.ids)
    assert len(moved) == 4


def test_interrupted_append(small, tmp_path, monkeypatch):

    store = Datastore.from_arrays(tmp_path / "s", KEYS[:4500], TOKENS[:4500], model="m")
    with monkeypatch.context() as patch:
        patch.setattr(files, "write_json", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.append(KEYS[4500:], TOKENS[4500:])
    again = Datastore.open(store.path)
    assert int(again.search(torch.from_numpy(KEYS[:50].astype(np.float32)), 20).ids.max()) < 4500


def test_corrupted_index(small, tmp_path):
    store = Datastore.from_arrays(tmp_path / "s", KEYS, TOKENS, model="m")
    path = store.path / store.manifest["index"]["file"]
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DetoxbenchError, match=r"index-5000.faiss is corrupted"):
        Datastore.open(store.path)


def test_without_faiss(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    small_store = Datastore.from_arrays(tmp_path / "small", KEYS[:100], TOKENS[:100], model="m")
    assert small_store.search(torch.zeros(1, 16), 3).ids.shape == (1, 3)
    with pytest.raises(DetoxbenchError, match=r"needs the package 'faiss-cpu': pip install 'detoxbench\[cpu\]'"):
        Datastore.from_arrays(tmp_path / "large", KEYS, TOKENS, model="m")
    assert not (tmp_path / "large").exists()
