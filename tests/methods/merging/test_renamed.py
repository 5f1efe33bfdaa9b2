"""Weight methods where transformers renames or fuses weights while loading: the formula on the tensors in memory."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.transformers_private import conversions
from detoxbench.methods import load_detoxified
from detoxbench.methods.merging import write
from detoxbench.methods.merging.align import base_of
from detoxbench.methods.merging.checkpoint import open_checkpoint
from detoxbench.methods.merging.vectors import TaskVectors

COMMON = {
    "vocab_size": 13, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
    "max_position_embeddings": 16, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0,
}  # fmt: skip
EXPERTS = {**COMMON, "num_key_value_heads": 1, "num_experts_per_tok": 2}
CASES = {
    "gpt_neox": ("gpt_neox", COMMON),
    "gpt_neox_tied": ("gpt_neox", {**COMMON, "tie_word_embeddings": True}),
    "mixtral": ("mixtral", {**EXPERTS, "num_local_experts": 11}),
    "qwen3_moe": ("qwen3_moe", {**EXPERTS, "num_experts": 3, "moe_intermediate_size": 6, "head_dim": 4}),
    "qwen3_moe_tied": (
        "qwen3_moe",
        {**EXPERTS, "num_experts": 3, "moe_intermediate_size": 6, "head_dim": 4, "tie_word_embeddings": True},
    ),
    "llama_tied": ("llama", {**COMMON, "tie_word_embeddings": True}),
}


def make(case: str, seed: int):
    kind, settings = CASES[case]
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **settings)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model


@pytest.fixture(scope="module", params=CASES)
def world(request, tmp_path_factory):
    """Base and two fine-tuned models, the second one in several files; their tensors in memory."""
    root = tmp_path_factory.mktemp(request.param)
    states = []
    for seed, name in enumerate(("base", "one", "two")):
        make(request.param, seed).save_pretrained(root / name, max_shard_size="2KB" if name == "two" else "1GB")
        states.append(AutoModelForCausalLM.from_pretrained(root / name).state_dict())
    assert (root / "two" / "model.safetensors.index.json").is_file()
    return root, states


def test_formula_in_memory_and_on_disk(world, tmp_path):
    root, (base, one, two) = world
    parts = [str(root / "one"), str(root / "two")]
    wanted = {name: base[name] - 0.7 * (one[name] + two[name] - 2 * base[name]) / 2 for name in base}
    found = load_detoxified(str(root / "base"), "task_vector", finetuned=parts, coefficient=0.7).state_dict()
    checkpoint = open_checkpoint(root / "base")
    merged = write.merge(checkpoint, TaskVectors(base_of(checkpoint), parts, 0.7), tmp_path / "merged")
    loaded = AutoModelForCausalLM.from_pretrained(merged).state_dict()
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-6, rtol=1e-6, msg=name)
        assert torch.equal(found[name], loaded[name]), name


def test_negation_and_the_model_itself(world):
    root, (base, one, _) = world
    negated = load_detoxified(str(root / "base"), "negation", finetuned=str(root / "one")).state_dict()
    itself = load_detoxified(str(root / "base"), "dapt", finetuned=str(root / "one")).state_dict()
    for name in base:
        torch.testing.assert_close(negated[name], 2 * base[name] - one[name], atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(itself[name], one[name], atol=1e-6, rtol=1e-6)


def resave(folder, out, rename):
    """A checkpoint under other names."""
    out.mkdir()
    save_file({rename(name): tensor for name, tensor in load_file(folder / "model.safetensors").items()},
              out / "model.safetensors")  # fmt: skip
    (out / "config.json").write_text((folder / "config.json").read_text())
    return str(out)


def test_saved_under_either_name(tmp_path):
    """An old release's ``embed_out`` beside a new one's ``lm_head``, as base and as part."""
    states = []
    for seed, name in enumerate(("base", "part")):
        make("gpt_neox", seed).save_pretrained(tmp_path / name)
        states.append(AutoModelForCausalLM.from_pretrained(tmp_path / name).state_dict())
    names = {
        "old": lambda name: name.replace("lm_head", "embed_out"),
        "new": lambda name: name.replace("embed_out", "lm_head"),
    }
    for kind, rename in names.items():
        for source in ("base", "part"):
            resave(tmp_path / source, tmp_path / f"{source}_{kind}", rename)
    assert "embed_out.weight" in load_file(tmp_path / "base_old" / "model.safetensors")
    for base in names:
        for part in names:
            folder, finetuned = tmp_path / f"base_{base}", [str(tmp_path / f"part_{part}")]
            flying = load_detoxified(str(folder), "task_vector", finetuned=finetuned, coefficient=0.5).state_dict()
            checkpoint = open_checkpoint(folder)
            out = tmp_path / f"{base}_{part}"
            write.merge(checkpoint, TaskVectors(base_of(checkpoint), finetuned, 0.5), out)
            loaded = AutoModelForCausalLM.from_pretrained(out).state_dict()
            for name, tensor in states[0].items():
                torch.testing.assert_close(flying[name], tensor + 0.5 * (tensor - states[1][name]))
                assert torch.equal(loaded[name], flying[name])


@pytest.mark.parametrize("case", ["gpt_neox", "mixtral"])
def test_adapter(tmp_path, case):
    peft = pytest.importorskip("peft")
    model = make(case, 0)
    model.save_pretrained(tmp_path / "base")
    targets = {"gpt_neox": ["query_key_value", "lm_head"], "mixtral": ["q_proj", "v_proj"]}[case]
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=2, lora_alpha=5, target_modules=targets))
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.3)
    adapted.save_pretrained(tmp_path / "adapter")
    theirs = adapted.merge_and_unload().state_dict()
    found = load_detoxified(str(tmp_path / "base"), "dapt", finetuned=str(tmp_path / "adapter")).state_dict()
    checkpoint = open_checkpoint(tmp_path / "base")
    write.merge(checkpoint, TaskVectors(base_of(checkpoint), [tmp_path / "adapter"], -1.0), tmp_path / "merged")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").state_dict()
    for name, tensor in theirs.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(loaded[name], tensor, atol=1e-5, rtol=1e-5)


EXPERT_ADAPTERS = {
    "of the fused tensors": {
        "target_modules": ["q_proj"], "target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"],
    },
    "of one fused tensor, rank-stabilised": {
        "target_modules": [], "target_parameters": ["mlp.experts.down_proj"], "use_rslora": True,
    },
    "with a module saved whole": {
        "target_modules": ["v_proj"], "target_parameters": ["mlp.experts.gate_up_proj"], "modules_to_save": ["lm_head"],
    },
}  # fmt: skip


def in_memory_and_on_disk(folder):
    """The model that an adapter makes: added while loaded, and merged into a checkpoint, which is loaded."""
    found = load_detoxified(str(folder / "base"), "dapt", finetuned=str(folder / "adapter")).state_dict()
    checkpoint = open_checkpoint(folder / "base")
    write.merge(checkpoint, TaskVectors(base_of(checkpoint), [folder / "adapter"], -1.0), folder / "merged")
    return found, AutoModelForCausalLM.from_pretrained(folder / "merged").state_dict()


@pytest.mark.parametrize("kind", EXPERT_ADAPTERS)
@pytest.mark.parametrize("case", ["mixtral", "qwen3_moe"])
def test_adapter_of_fused_experts(tmp_path, case, kind):
    """As peft merges it."""
    peft = pytest.importorskip("peft")
    make(case, 0).save_pretrained(tmp_path / "base")
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    adapted = peft.get_peft_model(base, peft.LoraConfig(r=2, lora_alpha=5, **EXPERT_ADAPTERS[kind]))
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.3)
    adapted.save_pretrained(tmp_path / "adapter")
    theirs = adapted.merge_and_unload().state_dict()
    assert any("experts" in name and not torch.equal(theirs[name], before[name]) for name in before)
    for found in in_memory_and_on_disk(tmp_path):
        for name, tensor in theirs.items():
            torch.testing.assert_close(found[name], tensor, atol=1e-5, rtol=1e-5, msg=name)


def test_adapter_of_each_expert(tmp_path):
    """Trained before transformers fused them: scale * B @ A of each expert's own matrices, by hand."""
    pytest.importorskip("peft")
    make("mixtral", 0).save_pretrained(tmp_path / "base")
    disk = load_file(tmp_path / "base" / "model.safetensors")
    torch.manual_seed(1)
    factors, wanted = {}, dict(disk)
    for name, tensor in disk.items():
        if ".experts." in name:
            a, b = torch.randn(2, tensor.shape[1]), torch.randn(tensor.shape[0], 2)
            stem = f"base_model.model.{name.removesuffix('.weight')}"
            factors |= {f"{stem}.lora_A.weight": a, f"{stem}.lora_B.weight": b}
            wanted[name] = tensor + 5 / 2 * b @ a
    (tmp_path / "adapter").mkdir()
    save_file(factors, tmp_path / "adapter" / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 5, "target_modules": ["w1", "w2", "w3"], "bias": "none",
              "task_type": "CAUSAL_LM", "base_model_name_or_path": "base"}  # fmt: skip
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    (tmp_path / "wanted").mkdir()
    save_file(wanted, tmp_path / "wanted" / "model.safetensors")
    (tmp_path / "wanted" / "config.json").write_text((tmp_path / "base" / "config.json").read_text())
    whole = AutoModelForCausalLM.from_pretrained(tmp_path / "wanted").state_dict()
    for found in in_memory_and_on_disk(tmp_path):
        for name, tensor in whole.items():
            torch.testing.assert_close(found[name], tensor, atol=1e-5, rtol=1e-5, msg=name)


def test_adapter_of_experts_that_the_base_has_not(tmp_path):
    """One line."""
    peft = pytest.importorskip("peft")
    base = make("mixtral", 0)
    options = EXPERT_ADAPTERS["of the fused tensors"]
    adapted = peft.get_peft_model(base, peft.LoraConfig(r=2, lora_alpha=5, **options))
    adapted.save_pretrained(tmp_path / "adapter")
    make("llama_tied", 0).save_pretrained(tmp_path / "base")
    with pytest.raises(DetoxbenchError, match=r"adapter'") as caught:
        load_detoxified(str(tmp_path / "base"), "dapt", finetuned=str(tmp_path / "adapter"))
    assert str(caught.value).isprintable()


def test_tied_weight_saved_under_its_second_name(tmp_path):
    model = make("llama_tied", 0)
    model.save_pretrained(tmp_path / "base")
    rename = {"model.embed_tokens.weight": "lm_head.weight"}
    make("llama_tied", 1).save_pretrained(tmp_path / "part")
    part = resave(tmp_path / "part", tmp_path / "again", lambda name: rename.get(name, name))
    found = load_detoxified(str(tmp_path / "base"), "dapt", finetuned=part).state_dict()
    wanted = AutoModelForCausalLM.from_pretrained(tmp_path / "part").state_dict()["model.embed_tokens.weight"]
    torch.testing.assert_close(found["lm_head.weight"], wanted)


def test_an_expert_lacks(tmp_path):
    for seed, name in enumerate(("base", "part")):
        make("mixtral", seed).save_pretrained(tmp_path / name)
    tensors = load_file(tmp_path / "part" / "model.safetensors")
    lost = next(name for name in tensors if "experts.3." in name)
    del tensors[lost]
    save_file(tensors, tmp_path / "part" / "model.safetensors")
    with pytest.raises(DetoxbenchError, match=r"'.*part'.*experts"):
        load_detoxified(str(tmp_path / "base"), "dapt", finetuned=str(tmp_path / "part"))


def test_as_transformers_loads(tmp_path):
    """The private mapping gives what ``from_pretrained`` gives: fails where a new release changes it."""
    make("mixtral", 0).save_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    disk = load_file(tmp_path / "model.safetensors")
    made = {}
    for one in conversions(model, disk):
        made |= one.convert(model, disk.__getitem__)
    state = model.state_dict()
    assert made.keys() == state.keys() != disk.keys()
    assert all(torch.equal(made[name], tensor) for name, tensor in state.items())
    assert [one.target for one in conversions(model, ["nothing.like.it"])] == ["nothing.like.it"]
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "mixtral"
