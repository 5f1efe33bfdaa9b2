"""LoRA adapters as fine-tuned models: the same numbers as peft's own merge."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods import load_detoxified
from detoxbench.methods.merging import write
from detoxbench.methods.merging.align import base_of
from detoxbench.methods.merging.checkpoint import open_checkpoint
from detoxbench.methods.merging.vectors import TaskVectors

peft = pytest.importorskip("peft")


def gpt2():
    return GPT2LMHeadModel(
        GPT2Config(n_layer=2, n_embd=8, n_head=2, vocab_size=11, n_positions=8, bos_token_id=0, eos_token_id=0)
    )


def llama():
    return LlamaForCausalLM(
        LlamaConfig(
            hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
            vocab_size=11, max_position_embeddings=8,
        )
    )  # fmt: skip


CASES = {
    "transposed": (gpt2, {"target_modules": ["c_attn", "c_proj"], "fan_in_fan_out": True}),
    "linear": (llama, {"target_modules": "all-linear", "use_rslora": True}),
    "embedding": (llama, {"target_modules": ["embed_tokens", "q_proj"]}),
    "whole_modules": (llama, {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"], "bias": "none"}),
    "patterns": (
        llama,
        {
            "target_modules": ["q_proj", "v_proj"],
            "rank_pattern": {"layers.1.self_attn.q_proj": 3},
            "alpha_pattern": {"v_proj": 7},
        },
    ),
}


def adapted(folder, make, options, seed=0):
    """A base and its adapter on disk, and what peft makes of them."""
    torch.manual_seed(seed)
    base = make()
    base.save_pretrained(folder / "base")
    model = peft.get_peft_model(base, peft.LoraConfig(r=2, lora_alpha=5, task_type="CAUSAL_LM", **options))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.copy_(torch.randn_like(parameter) * 0.3)
    model.save_pretrained(folder / "adapter")
    return {name: tensor.clone() for name, tensor in model.merge_and_unload().state_dict().items()}


@pytest.mark.parametrize("case", CASES)
def test_as_peft_merges(tmp_path, case, monkeypatch):
    monkeypatch.setattr(write, "slices", lambda total: ((at, min(13, total - at)) for at in range(0, total, 13)))
    theirs = adapted(tmp_path, *CASES[case])
    base = open_checkpoint(tmp_path / "base")
    average = write.merge(base, TaskVectors(base_of(base), [tmp_path / "adapter"], -1.0), tmp_path / "average")
    found = AutoModelForCausalLM.from_pretrained(average).state_dict()
    changed = 0
    for name, tensor in AutoModelForCausalLM.from_pretrained(tmp_path / "base").state_dict().items():
        torch.testing.assert_close(found[name], theirs[name], atol=1e-6, rtol=1e-5)
        changed += not torch.equal(found[name], tensor)
    assert changed >= 2
    negated = write.merge(base, TaskVectors(base_of(base), [tmp_path / "adapter"], 0.5), tmp_path / "negated")
    flying = load_detoxified(
        str(tmp_path / "base"), "task_vector", finetuned=[str(tmp_path / "adapter")], coefficient=0.5
    )
    loaded = AutoModelForCausalLM.from_pretrained(negated).state_dict()
    for name, tensor in flying.state_dict().items():
        torch.testing.assert_close(tensor, loaded[name], atol=1e-6, rtol=1e-6)


def test_with_a_whole_checkpoint(tmp_path):
    adapted(tmp_path, *CASES["linear"])
    torch.manual_seed(3)
    llama().save_pretrained(tmp_path / "whole")
    base = open_checkpoint(tmp_path / "base")
    single = [TaskVectors(base_of(base), [tmp_path / name], 1.0) for name in ("adapter", "whole")]
    both = TaskVectors(base_of(base), [tmp_path / "adapter", tmp_path / "whole"], 1.0)
    for name in base.entries:
        values = base.read(name)
        wanted = (single[0].weight(name, values) + single[1].weight(name, values)) / 2
        torch.testing.assert_close(both.weight(name, values), wanted)


def test_refused(tmp_path):
    adapted(tmp_path, *CASES["linear"])
    base, folder = open_checkpoint(tmp_path / "base"), tmp_path / "adapter"
    config = json.loads((folder / "adapter_config.json").read_text())
    tensors = load_file(folder / "adapter_model.safetensors")

    def refuse(match, changes=(), **content):
        (folder / "adapter_config.json").write_text(json.dumps({**config, **dict(changes)}))
        save_file({**tensors, **content} if content else tensors, folder / "adapter_model.safetensors")
        with pytest.raises(DetoxbenchError, match=match):
            TaskVectors(base_of(base), [folder], 1.0)

    refuse("is a DoRA adapter", {"use_dora": True})
    refuse("is a IA3 adapter", {"peft_type": "IA3"})
    first = next(name for name in tensors if "q_proj.lora_A" in name)
    refuse(r"has other shapes model\.layers", **{first: torch.zeros(2, 9)})
    stranger = "base_model.model.model.layers.9.self_attn.q_proj.lora_{}.weight"
    refuse(
        r"adapts model\.layers\.9", **{stranger.format("A"): torch.zeros(2, 8), stranger.format("B"): torch.zeros(8, 2)}
    )
    refuse("one LoRA factor", **{stranger.format("A"): torch.zeros(2, 8)})
    with pytest.raises(DetoxbenchError, match="is a LoRA adapter: give the model that it adapts"):
        base_of(open_checkpoint(folder))
