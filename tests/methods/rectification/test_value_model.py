"""Value models of every architecture, saved and loaded."""

from __future__ import annotations

import json

import pytest
import torch
from tiny_models import ARCHITECTURES

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods.rectification.value_model import ValueModel


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_round_trip(tiny, tmp_path, architecture):
    model = ValueModel.from_causal_lm(tiny(architecture, 0)).eval()
    ids = torch.tensor([[3, 4, 5, 6]])
    values = model(ids).logits
    assert values.shape == (1, 4, 61)
    model.save(tmp_path / "value", trained={"scorer": "mini"})
    loaded = ValueModel.load(tmp_path / "value")
    torch.testing.assert_close(loaded(ids).logits, values)
    torch.testing.assert_close(loaded(ids, logits_to_keep=1).logits, values[:, -1:])
    manifest = json.loads((tmp_path / "value" / "manifest.json").read_text())
    assert manifest["trained"] == {"scorer": "mini"}
    assert set(manifest["files"]) >= {"config.json", "model.safetensors", "q_head.safetensors"}


def test_body_is_a_copy(tiny):
    base = tiny("gpt2", 0)
    model = ValueModel.from_causal_lm(base)
    torch.testing.assert_close(model.body.wte.weight, base.transformer.wte.weight)
    assert model.body.wte.weight is not base.transformer.wte.weight


def test_half_precision(tiny, tmp_path):
    ValueModel.from_causal_lm(tiny("gpt2", 0)).save(tmp_path / "value")
    loaded = ValueModel.load(tmp_path / "value", dtype=torch.bfloat16)
    assert loaded(torch.tensor([[3]])).logits.dtype == torch.bfloat16


def test_errors(tiny, tmp_path):
    folder = tmp_path / "value"
    model = ValueModel.from_causal_lm(tiny("gpt2", 0))
    model.save(folder)
    with pytest.raises(DetoxbenchError, match=r"exists already"):
        model.save(folder)
    head = folder / "q_head.safetensors"
    content = bytearray(head.read_bytes())
    content[-1] ^= 1
    head.write_bytes(bytes(content))
    with pytest.raises(DetoxbenchError, match=r"q_head.safetensors is corrupted"):
        ValueModel.load(folder)
    head.unlink()
    with pytest.raises(DetoxbenchError, match=r"q_head.safetensors is missing"):
        ValueModel.load(folder)
    with pytest.raises(DetoxbenchError, match=r"no value model"):
        ValueModel.load(tmp_path)
