"""Files, precisions, revisions and devices of a base model: each kind of method loads on them, or one line says why."""

from __future__ import annotations

import json

import pytest
import tiny_gguf
import torch
from lm_eval.api.instance import Instance
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from detoxbench.core import mini
from detoxbench.core.errors import DetoxbenchError
from detoxbench.harness import placement
from detoxbench.harness.model import DetoxLM

SETTINGS = {"do_sample": True, "top_p": 0.9, "max_gen_toks": 4, "until": []}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("llama")
    tokenizer = AutoTokenizer.from_pretrained(mini.MODEL)
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=64, intermediate_size=96, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=64,
        )
    ).save_pretrained(path)  # fmt: skip
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def gguf(tmp_path_factory):
    """A folder with ``tiny.gguf``, the model that it was made of, and another one as a checkpoint."""
    pytest.importorskip("gguf")
    path = tmp_path_factory.mktemp("gguf")
    model = tiny_gguf.write(path / "tiny.gguf")
    other = type(model)(model.config)
    other.save_pretrained(path / "other")
    return path, model


def ask(lm: DetoxLM, prompt: str = "ab a b") -> str:
    row = Instance("generate_until", {}, (prompt, SETTINGS), 0)
    return lm.generate_until([row], disable_tqdm=True)[0]


def test_a_gguf_file_is_the_model_that_it_was_made_of(gguf):
    path, model = gguf
    lm = DetoxLM(str(path), device="cpu", gguf_file="tiny.gguf", dtype="float32")
    ids = torch.tensor([lm.tokenizer("ab a b").input_ids])
    assert ids.tolist() == [[5, 7, 8]]
    with torch.no_grad():
        torch.testing.assert_close(lm.model(ids).logits, model(ids).logits, atol=0.02, rtol=0)


METHODS = {
    "self_debias": {"decay": 0.0, "description": "a b"},
    "toxification_reversal": {"prefix": "a b", "strength": 0.0},
    "best_of_n": {"scorer": "ngram", "n": 2},
    "dexperts": {"expert": "other", "antiexpert": "other", "alpha": 0.0, "filter_p": 1.0},
    "dapt": {"finetuned": "other"},
    "negation": {"finetuned": "other"},
    "dexperts+best_of_n": {"antiexpert": "other", "scorer": "ngram"},
    "dapt+self_debias": {"finetuned": "other", "description": "a b"},
}


@pytest.mark.parametrize("method", METHODS)
def test_methods_of_every_kind_on_a_gguf_file(gguf, method):
    """Its weights are widened when they are loaded, so that those that change weights can, too."""
    path, _ = gguf
    given = {name: str(path / "other") if value == "other" else value for name, value in METHODS[method].items()}
    lm = DetoxLM(str(path), method, device="cpu", gguf_file="tiny.gguf", dtype="float32", **given)
    assert isinstance(ask(lm), str)


def test_a_gguf_file_that_is_not_there(gguf, folder):
    with pytest.raises(DetoxbenchError, match="gguf_file=tini.gguf: there is no such file in .*; it has tiny.gguf$"):
        DetoxLM(str(gguf[0]), "self_debias", gguf_file="tini.gguf")
    with pytest.raises(DetoxbenchError, match="it has no GGUF file$"):
        placement.checked(str(folder), {"gguf_file": "tiny.gguf"})


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "torch.bfloat16", torch.float64])
def test_a_method_follows_the_precision_of_its_base_model(folder, dtype):
    given = {"expert": str(folder), "alpha": 1.0}
    lm = DetoxLM(str(folder), "dexperts", device="cpu", **given, dtype=dtype)
    kind = dtype if isinstance(dtype, torch.dtype) else getattr(torch, dtype.removeprefix("torch."))
    assert {stream.model.dtype for stream in lm.model.streams.values()} == {kind}
    assert isinstance(ask(lm, "The neighbour says"), str)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dtype": "float23"}, "unknown dtype 'float23': did you mean 'float32'"),
        ({"dtype": "int8"}, "unknown dtype 'int8'"),
        ({"dtype": "nn"}, "unknown dtype 'nn'"),
        ({"revision": "v2"}, "revision=v2: .* is a folder, which has no revisions"),
        ({"device_map": "bananas"}, "device_map=bananas: allowed are auto, .* or a device"),
    ],
)
def test_what_there_is_not_is_said_in_one_line(folder, given, message):
    with pytest.raises(DetoxbenchError, match=message) as error:
        DetoxLM(str(folder), "self_debias", **given)
    assert "\n" not in str(error.value)


def test_a_revision_of_the_hub_is_left_to_the_hub():
    assert placement.checked("someone/model", {"revision": "v2"}) == {"revision": "v2"}
    assert placement.checked("mini", {"revision": "main"}) == {"revision": "main"}


def test_lm_eval_follows_a_device_map_with_parallelize_alone(monkeypatch, folder):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert placement.checked(str(folder), {"device_map": "auto"}) == {"parallelize": True, "device_map": "auto"}
    split = {"model.embed_tokens": 0, "": 1}
    assert placement.checked(str(folder), {"device_map": split}) == {"parallelize": True, "device_map": split}
    assert placement.checked(str(folder), {"device_map": "cuda:1"}) == {"device": "cuda:1"}
    assert placement.checked(str(folder), {"parallelize": True}) == {"parallelize": True}


def test_without_a_gpu_there_is_nothing_to_spread_over(monkeypatch, folder):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert placement.checked(str(folder), {"device_map": "auto"}) == {}
    assert placement.checked(str(folder), {"device_map": "cpu"}) == {"device": "cpu"}
    for given, message in (
        ({"parallelize": True}, "parallelize=True spreads a model over GPUs, and there is none here"),
        ({"device_map": {"": 0}}, "spreads a model over GPUs"),
        ({"device_map": "cuda:1"}, "there is no GPU here"),
    ):
        with pytest.raises(DetoxbenchError, match=message):
            placement.checked(str(folder), given)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"quant_method": "gptq", "bits": 4}, "GPTQ .*requires optimum|GPTQ .*pip install"),
        ({"quant_method": "awq", "bits": 4}, "AWQ .*pip install"),
        ({"quant_method": "nonsense"}, "Unknown quantization type"),
    ],
)
@pytest.mark.parametrize("method", ["none", "self_debias"])
def test_a_checkpoint_whose_library_is_missing(folder, tmp_path, settings, message, method):
    if settings["quant_method"] != "nonsense":
        for library in ("optimum", "gptqmodel"):
            if _there(library):
                pytest.skip(f"{library} is installed")
    for name in folder.iterdir():
        (tmp_path / name.name).write_bytes(name.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "quantization_config": settings}))
    with pytest.raises(DetoxbenchError, match=message) as error:
        DetoxLM(str(tmp_path), method, device="cpu")
    assert "\n" not in str(error.value)


def _there(library: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(library) is not None


def test_what_would_be_faster_is_said(folder, monkeypatch, caplog):
    """Of a large model in single precision, where the processor has the instructions."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    DetoxLM(str(folder), device="cpu", dtype="float32")
    assert "AMX" not in caplog.text
    monkeypatch.setattr(placement, "LARGE", 1000)
    DetoxLM(str(folder), device="cpu", dtype="bfloat16")
    assert "AMX" not in caplog.text
    DetoxLM(str(folder), device="cpu", dtype="float32")
    assert "dtype=bfloat16 is faster than float32" in caplog.text
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": False}, raising=False)
    model = DetoxLM(str(folder), device="cpu", dtype="float32").model
    assert placement.slower_than_need_be(model) == ""
