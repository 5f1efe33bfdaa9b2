"""A model that vLLM can run, and a fine-tuned one beside it."""

from __future__ import annotations

import sys

import fake_vllm
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from detoxbench.core import mini
from detoxbench.harness.model import DetoxLM


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """``base`` and ``tuned``: the embedded model in single precision, and one like it."""
    path = tmp_path_factory.mktemp("models")
    model = AutoModelForCausalLM.from_pretrained(mini.MODEL, dtype="float32")
    for name in ("base", "tuned"):
        model.save_pretrained(path / name)
        AutoTokenizer.from_pretrained(mini.MODEL).save_pretrained(path / name)
        torch.manual_seed(0)
        for parameter in model.parameters():
            parameter.data += 0.05 * parameter.data.std() * torch.randn_like(parameter)
    return path


@pytest.fixture
def fake(monkeypatch):
    """vLLM's stand-in."""
    yield fake_vllm.install(monkeypatch)
    sys.modules.pop(fake_vllm.PROCESSOR, None)


@pytest.fixture(scope="session")
def make(folders):
    def made(method="none", **given) -> DetoxLM:
        if method.startswith("negation"):
            given["finetuned"] = str(folders / "tuned")
        return DetoxLM(str(folders / "base"), method, device="cpu", **given)

    return made
