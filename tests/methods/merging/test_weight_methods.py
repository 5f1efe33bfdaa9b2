"""``task_vector``, ``negation``, ``dapt`` and ``gradient_ascent`` as methods of a loaded model."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.registry import METHODS
from detoxbench.methods import load_detoxified
from detoxbench.methods.merging.reweighted import named

NAMES = ["task_vector", "negation", "dapt", "gradient_ascent"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("base", "part_0", "part_1", "part_10")):
        torch.manual_seed(seed)
        config = GPT2Config(n_layer=1, n_embd=8, n_head=2, vocab_size=11, n_positions=8, bos_token_id=0, eos_token_id=0)
        GPT2LMHeadModel(config).save_pretrained(root / ("fit" if "part" in name else "") / name)
    return root


def state(path):
    return AutoModelForCausalLM.from_pretrained(path).state_dict()


def test_fine_tuned_model_itself(folder):
    for method in ("dapt", "gradient_ascent"):
        part = folder / "fit" / "part_0"
        found = load_detoxified(str(folder / "base"), method, finetuned=str(part)).state_dict()
        for name, tensor in state(part).items():
            torch.testing.assert_close(found[name], tensor, atol=1e-6, rtol=0)


def test_one_part_is_negation(folder):
    part = str(folder / "fit" / "part_1")
    one = load_detoxified(str(folder / "base"), "negation", finetuned=part, coefficient=0.4).state_dict()
    same = load_detoxified(str(folder / "base"), "task_vector", finetuned=[part], coefficient=0.4).state_dict()
    base, tuned = state(folder / "base"), state(part)
    for name, tensor in one.items():
        assert torch.equal(tensor, same[name])
        torch.testing.assert_close(tensor, base[name] - 0.4 * (tuned[name] - base[name]), atol=1e-6, rtol=0)


def test_loaded_base_is_left_alone_and_half_precision_kept(folder):
    base = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.bfloat16)
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    found = load_detoxified(base, "task_vector", finetuned=str(folder / "fit"))
    assert found.dtype == torch.bfloat16
    assert all(torch.equal(tensor, before[name]) for name, tensor in base.state_dict().items())
    assert not torch.equal(found.state_dict()["transformer.wte.weight"], before["transformer.wte.weight"])


def test_ways_to_name_them(folder):
    fit = folder / "fit"
    parts = [str(fit / f"part_{at}") for at in (0, 1, 10)]
    assert named(str(fit)) == parts
    assert named(";".join(parts)) == parts
    assert named(f"[{parts[0]}, '{parts[1]}']") == parts[:2]
    assert named([parts[2]]) == parts[2:]
    assert named("org/model") == ["org/model"]
    with pytest.raises(DetoxbenchError, match="neither a checkpoint nor folders part_0"):
        named(str(folder))


@pytest.mark.parametrize("method", NAMES)
def test_nothing_given(folder, method):
    assert METHODS[method].kind == "weight"
    with pytest.raises(DetoxbenchError, match=rf"'{method}' needs finetuned=…; make them with: detoxbench fit"):
        load_detoxified(str(folder / "base"), method)
    with pytest.raises(DetoxbenchError, match="no such folder"):
        load_detoxified(str(folder / "base"), method, finetuned="./none")


def test_wrong_arguments(folder):
    with pytest.raises(DetoxbenchError, match="coefficient"):
        load_detoxified(str(folder / "base"), "task_vector", coefficient="much")
    with pytest.raises(DetoxbenchError, match="did you mean 'coefficient'"):
        load_detoxified(str(folder / "base"), "task_vector", coeficient=1.0)


def test_in_place_saves_a_copy(folder):
    part, base = str(folder / "fit" / "part_0"), AutoModelForCausalLM.from_pretrained(folder / "base")
    wanted = load_detoxified(base, "negation", finetuned=part).state_dict()
    found = load_detoxified(base, "negation", finetuned=part, in_place=True)
    assert found is base
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in base.state_dict().items())


def test_a_long_list_of_checkpoints_in_one_string(folder):
    """Longer than the name of a file may be."""
    part = str(folder / "fit" / "part_0") if (folder / "fit" / "part_0").is_dir() else str(folder)
    given = [part] * (5000 // len(part))
    assert named(";".join(given)) == given
    assert named("x" * 300) == ["x" * 300]
