"""The authors' own artifacts."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods.goodtriever.imports import import_goodtriever, raw_stores
from detoxbench.methods.rectification.imports import import_rectification


def write_raw(folder, count, dim=4, model="gpt2-large"):
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(count)
    keys = generator.normal(size=(count, dim)).astype(np.float16)
    values = generator.integers(0, 50, count).astype(np.int32)
    keys.tofile(folder / f"dstore_{model}_{count}_{dim}_keys.npy")
    values.tofile(folder / f"dstore_{model}_{count}_{dim}_vals.npy")
    return keys, values


def test_goodtriever(tmp_path):
    keys, values = write_raw(tmp_path / "raw", 30)
    store = import_goodtriever(tmp_path / "raw", tmp_path / "ours")
    assert np.array_equal(store.keys, keys)
    assert np.array_equal(store.values, values)
    assert store.manifest["model"]["name"] == "gpt2-large"


def test_size_is_read_from_each_files_own_name(tmp_path):
    """The published code takes the alphabetically last name's: 95 of 95, 500 and 1000."""
    for count in (95, 500, 1000):
        write_raw(tmp_path / "raw", count)
    assert sorted(store.count for store in raw_stores(tmp_path / "raw")) == [95, 500, 1000]
    with pytest.raises(DetoxbenchError, match=r"several datastores: name one, store=dstore_gpt2-large_1000_4 or"):
        import_goodtriever(tmp_path / "raw", tmp_path / "ours")
    with pytest.raises(DetoxbenchError, match=r"holds no dstore_x"):
        import_goodtriever(tmp_path / "raw", tmp_path / "ours", store="dstore_x")
    assert import_goodtriever(tmp_path / "raw", tmp_path / "ours", store="dstore_gpt2-large_500_4").count == 500


def test_goodtriever_errors(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    with pytest.raises(DetoxbenchError, match=r"holds no dstore_MODEL_COUNT_DIM_keys.npy"):
        raw_stores(folder)
    write_raw(folder, 20)
    keys = folder / "dstore_gpt2-large_20_4_keys.npy"
    keys.write_bytes(keys.read_bytes()[:-2])
    with pytest.raises(DetoxbenchError, match=r"has 158 bytes; by its name it must have 160"):
        raw_stores(folder)
    (folder / "dstore_gpt2-large_20_4_vals.npy").unlink()
    keys.write_bytes(bytes(160))
    with pytest.raises(DetoxbenchError, match=r"vals.npy is missing beside"):
        raw_stores(folder)


@pytest.fixture
def checkpoint(golden):
    arrays = np.load(golden("rectification").folder / "sarsa_model.npz")
    return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


@pytest.mark.parametrize("form", ["safetensors", "torch"])
def test_rectification(tmp_path, checkpoint, golden, form):
    folder = tmp_path / "theirs"
    folder.mkdir()
    checkpoint["transformer.h.0.attn.bias"] = torch.ones(1, 1, 128, 128)  # a buffer of old versions
    if form == "safetensors":
        save_file(checkpoint, folder / "model.safetensors")
    else:
        torch.save(checkpoint, folder / "pytorch_model.bin")
    config = (golden("rectification").folder / "base" / "config.json").read_text()
    (folder / "config.json").write_text(config)
    model = import_rectification(folder, tmp_path / "ours")
    assert model.config.n_head == 4
    assert torch.equal(model.head[2].weight, checkpoint["ilql_heads.q_heads.0.3.weight"])
    assert torch.equal(model.body.wpe.weight, checkpoint["transformer.wpe.weight"])


def test_rectification_errors(tmp_path, checkpoint):
    folder = tmp_path / "theirs"
    folder.mkdir()
    with pytest.raises(DetoxbenchError, match=r"holds no \*.safetensors"):
        import_rectification(folder, tmp_path / "ours")
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"x": print}))
    with pytest.raises(DetoxbenchError, match=r"without unpickling objects"):
        import_rectification(folder, tmp_path / "ours")
    save_file({"x": torch.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(DetoxbenchError, match=r"no parameters transformer"):
        import_rectification(folder, tmp_path / "ours")
    save_file({**checkpoint, "ilql_heads.q_heads.1.0.weight": torch.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(DetoxbenchError, match=r"several Q heads"):
        import_rectification(folder, tmp_path / "ours")
    del checkpoint["transformer.ln_f.bias"]
    save_file(checkpoint, folder / "model.safetensors")
    with pytest.raises(DetoxbenchError, match=r"loading state_dict|Missing"):
        import_rectification(folder, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()
