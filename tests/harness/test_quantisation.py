"""Arguments that quantise: in the form that transformers takes, and refused before anything is loaded."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from transformers import AutoConfig, GPT2Config

import detoxbench
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.mini import MODEL
from detoxbench.harness import quantisation


def test_lm_evals_arguments_become_a_configuration():
    given = {"load_in_4bit": "True", "bnb_4bit_quant_type": "nf4", "revision": "main"}
    wanted = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    assert quantisation.configuration(given) == wanted
    assert given == {"revision": "main"}
    assert quantisation.configuration({"load_in_8bit": False}) is None
    assert quantisation.configuration({"quantization_config": {"quant_method": "gptq"}}) == {"quant_method": "gptq"}


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        ("profs", {"load_in_8bit": True}, "changes weights, and load_in_8bit packs them"),
        ("profs+rad", {"load_in_4bit": True}, "changes weights, and load_in_4bit packs them"),
        ("self_debias", {"gptqmodel": True}, "no method can be put on them"),
        ("none", {"load_in_8bit": True, "load_in_4bit": True}, "give one of them"),
        ("self_debias", {"load_in_8bit": "maybe"}, "load_in_8bit"),
        (
            "none",
            {"load_in_4bit": True, "dtype": "float64"},
            "dtype=float64: load_in_4bit packs numbers of 16 and 32 bits",
        ),
        (
            "none",
            {"bnb_4bit_quant_type": "nf4"},
            "bnb_4bit_quant_type=nf4 says how bitsandbytes quantises: give load_in",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(monkeypatch, method, given, message):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    with pytest.raises(DetoxbenchError, match=message) as error:
        quantisation.check(method, given)
    assert "\n" not in str(error.value)


def test_what_is_kept_in_double_precision_is_packed_from_single():
    packing = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    config = AutoConfig.from_pretrained(MODEL)
    assert config.dtype == torch.float64
    assert quantisation.precision("auto", config, packing) == "float32"
    assert quantisation.precision("bfloat16", config, packing) == "bfloat16"
    assert quantisation.precision("auto", config, None) == "auto"
    assert quantisation.precision("auto", GPT2Config(dtype="bfloat16"), packing) == "auto"


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DetoxbenchError, match="pip install bitsandbytes"):
        detoxbench.load("mini", load_in_8bit=True)


@pytest.mark.parametrize("bits", ["load_in_8bit", "load_in_4bit"])
def test_the_embedded_model_in_few_bits(bits):
    pytest.importorskip("bitsandbytes")
    lm = detoxbench.load("mini", method="self_debias", **{bits: "True"})
    assert detoxbench.sample(lm, ["The neighbour says"], samples=1)[0][0]
