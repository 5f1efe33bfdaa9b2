"""Merged checkpoints: the reference outputs, every way a checkpoint can be saved, and what must be refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from detoxbench.core import files
from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods import artifacts, load_detoxified
from detoxbench.methods.merging import write
from detoxbench.methods.merging.align import base_of
from detoxbench.methods.merging.checkpoint import Checkpoint, open_checkpoint
from detoxbench.methods.merging.vectors import TaskVectors

GOLDENS = Path(__file__).parents[2] / "goldens" / "task_vector"
PARTS = [str(GOLDENS / f"finetuned_{at}") for at in range(3)]


def merge(base, parts, out, coefficient=1.0, **options) -> Path:
    checkpoint = open_checkpoint(base)
    return write.merge(checkpoint, TaskVectors(base_of(checkpoint), parts, coefficient), out, **options)


def save(folder: Path, tensors: dict[str, torch.Tensor], **config) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def random(seed: int, dtype=torch.float32, **shapes) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items()}


@pytest.mark.parametrize("coefficient", [0.5, 1.0])
def test_reference_outputs_on_the_fly_and_on_disk(tmp_path, coefficient):
    arrays = np.load(GOLDENS / "golden.npz")
    cases = json.loads((GOLDENS / "cases.json").read_text())["cases"]
    merged = merge(GOLDENS / "base", PARTS, tmp_path / "merged", coefficient)
    loaded = AutoModelForCausalLM.from_pretrained(merged)
    flying = load_detoxified(str(GOLDENS / "base"), "task_vector", finetuned=PARTS, coefficient=coefficient)
    for name, tensor in flying.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name
    for case in (case for case in cases if case["coefficient"] == coefficient):
        ids = torch.from_numpy(arrays[f"prompt_{case['prompt']}"])
        with torch.no_grad():
            found = loaded(ids).logits[:, -1].log_softmax(-1)
        np.testing.assert_allclose(found.numpy(), arrays[case["key"]], atol=1e-5, rtol=0)


def test_by_hand(tmp_path):
    save(tmp_path / "base", {"w": torch.tensor([1.0, 2.0, 3.0])})
    save(tmp_path / "a", {"w": torch.tensor([2.0, 2.0, 3.0])})
    save(tmp_path / "b", {"w": torch.tensor([3.0, 2.0, 1.0])})
    out = merge(tmp_path / "base", [tmp_path / "a", tmp_path / "b"], tmp_path / "out", 2.0)
    assert load_file(out / "model.safetensors")["w"].tolist() == [1 - 3.0, 2.0, 3 + 2.0]
    average = merge(tmp_path / "base", [tmp_path / "a", tmp_path / "b"], tmp_path / "average", -1.0)
    assert load_file(average / "model.safetensors")["w"].tolist() == [2.5, 2.0, 2.0]


def test_identity(tmp_path):
    tensors = random(0, a=(3, 4), b=(5,))
    save(tmp_path / "base", tensors)
    save(tmp_path / "part", random(1, a=(3, 4), b=(5,)))
    for name, parts, coefficient in (("zero", ["part"], 0.0), ("same", ["base", "base"], 3.0)):
        out = merge(tmp_path / "base", [tmp_path / part for part in parts], tmp_path / name, coefficient)
        for key, tensor in load_file(out / "model.safetensors").items():
            assert torch.equal(tensor, tensors[key])


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 4),
    st.floats(-4, 4),
    st.lists(st.integers(1, 5), max_size=3),
    st.sampled_from([torch.float64, torch.float32, torch.bfloat16]),
    st.integers(1, 7),
)
def test_formula(count, coefficient, shape, dtype, size):
    """Any shape (a scalar too), dtype and slice size: the sum is done in float32 or wider, and rounded once."""
    import tempfile

    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "slices", lambda total: write_slices(total, size))
        tensors = [random(seed, dtype, w=tuple(shape))["w"] for seed in range(count + 1)]
        folders = [save(Path(root) / str(at), {"w": tensor}) for at, tensor in enumerate(tensors)]
        found = load_file(merge(folders[0], folders[1:], Path(root) / "out", coefficient) / "model.safetensors")["w"]
        base, *parts = (tensor.double() for tensor in tensors)
        wanted = base - coefficient * sum(part - base for part in parts) / count
        assert found.dtype == dtype
        assert found.shape == tuple(shape)
        precision = 1e-12 if dtype == torch.float64 else 1e-5 if dtype == torch.float32 else 1 / 128
        torch.testing.assert_close(found.double(), wanted, atol=precision * 8, rtol=precision)


def write_slices(total, size):
    return ((start, min(size, total - start)) for start in range(0, total, size))


def test_integers_and_bools_are_the_bases(tmp_path):
    fixed = {"ids": torch.arange(4), "on": torch.tensor([True, False]), "byte": torch.tensor([7], dtype=torch.uint8)}
    other = {"ids": torch.arange(4) + 1, "on": torch.tensor([True, True]), "byte": torch.tensor([9], dtype=torch.uint8)}
    save(tmp_path / "base", {**fixed, "w": torch.ones(2)})
    save(tmp_path / "part", {**other, "w": torch.zeros(2)})
    found = load_file(merge(tmp_path / "base", [tmp_path / "part"], tmp_path / "out") / "model.safetensors")
    for name, tensor in fixed.items():
        assert torch.equal(found[name], tensor)
        assert found[name].dtype == tensor.dtype
    assert found["w"].tolist() == [2.0, 2.0]


def test_half_precision_and_wider_parts(tmp_path):
    base, part = random(0, torch.bfloat16, w=(40,))["w"], random(1, w=(40,))["w"]
    save(tmp_path / "base", {"w": base}, dtype="bfloat16")
    save(tmp_path / "part", {"w": part})
    found = load_file(merge(tmp_path / "base", [tmp_path / "part"], tmp_path / "out", 0.3) / "model.safetensors")["w"]
    assert torch.equal(found, (base.float() - 0.3 * (part - base.float())).bfloat16())
    wide = merge(tmp_path / "base", [tmp_path / "part"], tmp_path / "wide", 0.3, dtype="float32")
    torch.testing.assert_close(load_file(wide / "model.safetensors")["w"], base.float() - 0.3 * (part - base.float()))
    assert json.loads((wide / "config.json").read_text())["dtype"] == "float32"


def test_stored_narrow_loaded_wide(tmp_path):
    """The configuration's precision is what transformers computes in: the merged weights are not rounded below it."""
    save(tmp_path / "base", {"w": torch.ones(1, dtype=torch.float16)}, dtype="float64")
    save(tmp_path / "part", {"w": torch.tensor([1.0001])})
    found = load_file(merge(tmp_path / "base", [tmp_path / "part"], tmp_path / "out") / "model.safetensors")["w"]
    assert found.dtype == torch.float64
    assert abs(float(found) - 0.9999) < 1e-7


def test_shards_in_and_out(tmp_path):
    model, part = AutoModelForCausalLM.from_pretrained(GOLDENS / "base"), AutoModelForCausalLM.from_pretrained(PARTS[0])
    model.save_pretrained(tmp_path / "base", max_shard_size="40KB")
    part.save_pretrained(tmp_path / "part", max_shard_size="60KB")
    assert len(list((tmp_path / "base").glob("*.safetensors"))) > 2
    out = merge(tmp_path / "base", [tmp_path / "part"], tmp_path / "out", max_shard=50_000)
    files = sorted(path.name for path in out.glob("*.safetensors"))
    assert len(files) > 2
    assert files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    whole = AutoModelForCausalLM.from_pretrained(merge(GOLDENS / "base", PARTS[:1], tmp_path / "whole"))
    for name, tensor in AutoModelForCausalLM.from_pretrained(out).state_dict().items():
        assert torch.equal(tensor, whole.state_dict()[name])
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == set(files)
    assert set(artifacts.read(out)["files"]) > set(files)
    artifacts.verify(out, artifacts.read(out))


def gpt2(seed: int, **changes):
    torch.manual_seed(seed)
    return GPT2LMHeadModel(
        GPT2Config(
            n_layer=1, n_embd=8, n_head=2, vocab_size=11, n_positions=8, bos_token_id=0, eos_token_id=0, **changes
        )
    )


def test_tied_weights_saved_once_or_twice(tmp_path):
    models = {name: gpt2(seed) for seed, name in enumerate(("base", "part"))}
    for name, model in models.items():
        model.save_pretrained(tmp_path / name)
        state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
        save(tmp_path / f"{name}_twice", state, **model.config.to_dict())
    wanted = load_file(merge(tmp_path / "base", [tmp_path / "part"], tmp_path / "0") / "model.safetensors")
    assert "lm_head.weight" not in wanted
    for at, (base, part) in enumerate((("base", "part_twice"), ("base_twice", "part"), ("base_twice", "part_twice"))):
        out = merge(tmp_path / base, [tmp_path / part], tmp_path / str(at + 1))
        found = load_file(out / "model.safetensors")
        assert ("lm_head.weight" in found) is (base == "base_twice")
        assert torch.equal(
            found.pop("lm_head.weight", found["transformer.wte.weight"]), found["transformer.wte.weight"]
        )
        assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
        flying = load_detoxified(models["base"], "negation", finetuned=str(tmp_path / part))
        assert torch.equal(flying.lm_head.weight, wanted["transformer.wte.weight"])
        assert flying.lm_head.weight is flying.transformer.wte.weight


def test_untied_in_one_of_them_is_refused(tmp_path):
    gpt2(0).save_pretrained(tmp_path / "tied")
    gpt2(1, tie_word_embeddings=False).save_pretrained(tmp_path / "untied")
    with pytest.raises(DetoxbenchError, match=r"it has too much lm_head\.weight"):
        merge(tmp_path / "tied", [tmp_path / "untied"], tmp_path / "out")
    with pytest.raises(DetoxbenchError, match=r"it lacks lm_head\.weight"):
        merge(tmp_path / "untied", [tmp_path / "tied"], tmp_path / "out")
    with pytest.raises(DetoxbenchError, match=r"it has too much lm_head\.weight"):
        load_detoxified(gpt2(0), "task_vector", finetuned=str(tmp_path / "untied"))


def test_prefix_and_masks_of_old_savers(tmp_path):
    """The hub's gpt2 is saved without ``transformer.``, and with its causal masks."""
    base, part = gpt2(0), gpt2(1)
    part.save_pretrained(tmp_path / "part")
    old = {
        name.removeprefix("transformer."): tensor for name, tensor in base.state_dict().items() if "lm_head" not in name
    }
    save(tmp_path / "old", {**old, "h.0.attn.bias": torch.tril(torch.ones(1, 1, 8, 8))}, **base.config.to_dict())
    base.save_pretrained(tmp_path / "new")
    wanted = load_file(merge(tmp_path / "new", [tmp_path / "part"], tmp_path / "0") / "model.safetensors")
    found = load_file(merge(tmp_path / "old", [tmp_path / "part"], tmp_path / "1") / "model.safetensors")
    assert torch.equal(found.pop("h.0.attn.bias"), torch.tril(torch.ones(1, 1, 8, 8)))
    assert {f"transformer.{name}" for name in found} == set(wanted)
    assert all(torch.equal(tensor, wanted[f"transformer.{name}"]) for name, tensor in found.items())
    other_way = load_file(merge(tmp_path / "new", [tmp_path / "old"], tmp_path / "2") / "model.safetensors")
    assert all(torch.equal(other_way[name], base.state_dict()[name]) for name in other_way)


def test_differences_are_listed(tmp_path):
    save(tmp_path / "base", random(0, a=(2,), b=(3,), c=(4, 2)))
    save(tmp_path / "part", random(0, a=(2,), x=(3,), c=(4, 3)))
    with pytest.raises(DetoxbenchError) as error:
        merge(tmp_path / "base", [tmp_path / "part"], tmp_path / "out")
    assert "lacks b; it has too much x; it has other shapes c [4, 3] instead of [4, 2]" in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()
    save(tmp_path / "many", random(0, **{f"t{at}": (1,) for at in range(30)}))
    with pytest.raises(DetoxbenchError, match=r"t0, t1, .* and 22 more"):
        merge(tmp_path / "base", [tmp_path / "many"], tmp_path / "out")
    save(tmp_path / "whole_numbers", {**random(0, a=(2,), b=(3,)), "c": torch.ones(4, 2, dtype=torch.int32)})
    with pytest.raises(DetoxbenchError, match="holds whole numbers in c"):
        merge(tmp_path / "base", [tmp_path / "whole_numbers"], tmp_path / "out")


def test_infinities(tmp_path):
    base = torch.tensor([1.0, float("-inf")])
    save(tmp_path / "base", {"w": base})
    save(tmp_path / "part", {"w": torch.tensor([2.0, float("-inf")])})
    found = load_file(merge(tmp_path / "base", [tmp_path / "part"], tmp_path / "out") / "model.safetensors")["w"]
    assert found.tolist() == [0.0, float("-inf")]
    save(tmp_path / "diverged", {"w": torch.tensor([float("nan"), 0.0])})
    with pytest.raises(DetoxbenchError, match=r"diverged': w holds numbers that are not finite"):
        merge(tmp_path / "base", [tmp_path / "diverged"], tmp_path / "out2")
    save(tmp_path / "half", {"w": torch.tensor([60000.0], dtype=torch.float16)})
    save(tmp_path / "far", {"w": torch.tensor([0.0])})
    with pytest.raises(DetoxbenchError, match="float16's range"):
        merge(tmp_path / "half", [tmp_path / "far"], tmp_path / "out2")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith((".", "out2"))) == []


def test_provenance_and_copied_files(tmp_path):
    base = save(tmp_path / "base", random(0, a=(2,)), model_type="x")
    for name in (
        "tokenizer.json",
        "merges.txt",
        "chat_template.jinja",
        "spiece.model",
        "modeling_x.py",
        "training_args.bin",
    ):
        (base / name).write_text("{}")
    save(tmp_path / "part", random(1, a=(2,)))
    out = merge(base, [tmp_path / "part"], tmp_path / "out", 0.7, note="mine")
    manifest = artifacts.read(out, write.KIND)
    assert manifest["coefficient"] == 0.7
    assert manifest["note"] == "mine"
    assert manifest["base"]["sha256"] == {"model.safetensors": files.sha256(base / "model.safetensors")}
    assert manifest["parts"][0]["name"] == "part"
    assert manifest["files"]["model.safetensors"] == files.sha256(out / "model.safetensors")
    copied = {"config.json", "tokenizer.json", "merges.txt", "chat_template.jinja", "spiece.model"}
    assert {path.name for path in out.iterdir()} == copied | {"model.safetensors", "manifest.json"}


def test_a_changed_part_is_noticed(tmp_path):
    save(tmp_path / "base", random(0, a=(2,)))
    part = save(tmp_path / "part", random(1, a=(2,)))
    artifacts.write_manifest(part, "finetuned_model")
    merge(tmp_path / "base", [part], tmp_path / "out")
    save(part, random(2, a=(2,)))
    with pytest.raises(DetoxbenchError, match="is corrupted: its sha256"):
        merge(tmp_path / "base", [part], tmp_path / "again")


def _cut(path):
    path.write_bytes(path.read_bytes()[:-3])


def _no_header(path):
    path.write_bytes(b"\xff" * 40)


def _bad_offsets(path):
    text = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 800]}}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"\0" * 8)


def _float8(path):
    text = json.dumps({"a": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"\0" * 2)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_cut, "was cut off"),
        (_no_header, "is no safetensors file"),
        (_bad_offsets, "header cannot be read"),
        (_float8, "dtype F8_E4M3; allowed"),
        (lambda path: path.unlink(), "holds no model.safetensors"),
        (lambda path: path.rename(path.with_name("pytorch_model.bin")), "convert it with detoxbench import dexperts"),
        (lambda path: (path.parent / "config.json").unlink(), "it has no config.json"),
        (lambda path: (path.parent / "config.json").write_text("[]"), "no JSON object"),
        (lambda path: (path.parent / "config.json").write_text('{"quantization_config": {"bits": 4}}'), "is quantised"),
    ],
)
def test_spoilt_files(tmp_path, spoil, message):
    folder = save(tmp_path / "x", random(0, a=(2,)))
    spoil(folder / "model.safetensors")
    with pytest.raises(DetoxbenchError, match=message):
        Checkpoint(folder, "x")


def test_index_stays_in_the_folder(tmp_path):
    folder = save(tmp_path / "x", random(0, a=(2,)))
    (folder / "model.safetensors").rename(tmp_path / "elsewhere.safetensors")
    for file in ("../elsewhere.safetensors", str(tmp_path / "elsewhere.safetensors"), "none.safetensors"):
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": file}}))
        with pytest.raises(DetoxbenchError, match="not in the folder"):
            Checkpoint(folder, "x")


def test_refused_before_anything_is_written(tmp_path, monkeypatch):
    save(tmp_path / "base", random(0, a=(2,)))
    with pytest.raises(DetoxbenchError, match="at least one"):
        merge(tmp_path / "base", [], tmp_path / "out")
    with pytest.raises(DetoxbenchError, match="coefficient=nan"):
        merge(tmp_path / "base", [tmp_path / "base"], tmp_path / "out", float("nan"))
    with pytest.raises(DetoxbenchError, match="dtype 'int4': allowed are"):
        merge(tmp_path / "base", [tmp_path / "base"], tmp_path / "out", dtype="int4")
    with pytest.raises(DetoxbenchError, match="no such folder, and it is no name"):
        open_checkpoint("/none/there")
    monkeypatch.setattr(write.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 3})())
    with pytest.raises(DetoxbenchError, match="GB are free there"):
        merge(tmp_path / "base", [tmp_path / "base"], tmp_path / "out")
    monkeypatch.undo()
    merge(tmp_path / "base", [tmp_path / "base"], tmp_path / "out")
    with pytest.raises(DetoxbenchError, match="exists already"):
        merge(tmp_path / "base", [tmp_path / "base"], tmp_path / "out")
