"""Where the parts of a causal LM are, found from the model itself, so that an architecture need not be known.

Names are dotted module names of the model, as ``get_submodule`` takes them.
"""

from __future__ import annotations

import re

from torch import Tensor, nn
from transformers import PreTrainedModel

from ..core.errors import DetoxbenchError

MLP_NAMES = ("mlp", "feed_forward", "ffn", "feedforward", "ff", "block_sparse_moe", "moe", "channel_mixer")
"""What the part of a block that follows attention is called, the likeliest first."""
MIXERS = re.compile(r"att|mixer|mamba|ssm|conv|recurrent|rglru|temporal|rwkv|lstm|delta|indexer", re.IGNORECASE)
"""In the name or class of what mixes positions: attention and state-space layers."""
FINAL_NORMS = ("norm", "ln_f", "final_layer_norm", "final_layernorm", "final_norm", "norm_f")
NOT_FINAL = ("layernorm_embedding",)
"""Norms of the embeddings that stand behind the blocks (BART)."""
OTHER_SENSES = re.compile(r"vision|visual|image|audio|speech", re.IGNORECASE)
ATTENTION_OUTPUTS = ("o_proj", "out_proj", "wo", "c_proj", "dense", "output_proj", "dense_output", "Wo", "o_net")


def decoder(model: PreTrainedModel) -> nn.Module:
    """The part of a causal LM that turns token ids into last hidden states: without head, and without encoders."""
    found = next((one for one in (model.get_decoder(), model.base_model) if _has_list(one)), model)
    while _has_list(inner := getattr(found, "decoder", None)):
        found = inner
    return found


def _has_list(module: object) -> bool:
    return isinstance(module, nn.Module) and any(isinstance(one, nn.ModuleList) for one in module.modules())


def name_of(model: nn.Module, module: nn.Module) -> str:
    """Dotted name of a module within the model; empty for the model itself."""
    return next(name for name, one in model.named_modules() if one is module)


def blocks(model: PreTrainedModel) -> str:
    """The list of blocks: of the decoder's lists that lie within no other the one that is as long as the configuration
    says, else the largest.

    Raises:
        DetoxbenchError: where there is none.
    """
    body = decoder(model)
    lists: dict[str, nn.ModuleList] = {}
    for name, module in body.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) and not any(name.startswith(f"{one}.") for one in lists):
            lists[name] = module
    layers = getattr(model.config.get_text_config(decoder=True), "num_hidden_layers", None)
    chosen = max(
        lists,
        key=lambda name: (not OTHER_SENSES.search(name), len(lists[name]) == layers, _size(lists[name])),
        default=None,
    )
    if chosen is None:
        raise DetoxbenchError(f"this {model.config.model_type} model has no list of blocks")
    return ".".join(filter(None, (name_of(model, body), chosen)))


def block(model: PreTrainedModel, index: int = -1) -> str:
    """A block; -1 is the last."""
    name = blocks(model)
    return f"{name}.{range(len(model.get_submodule(name)))[index]}"  # type: ignore[arg-type]


def block_mlp(model: PreTrainedModel, index: int = -1) -> str:
    """The part of a block that works on each position alone; of one inlined in the block its first linear layer, and of
    a block without any (pure state-space models) its mixer.

    Raises:
        DetoxbenchError: where a block holds no matrix.
    """
    name = block(model, index)
    parts = _parts(model.get_submodule(name))
    for wanted in MLP_NAMES:
        if wanted in parts:
            return f"{name}.{wanted}"
    pointwise = [part for part, module in parts.items() if not mixes(part, module)]
    chosen = next(iter(pointwise or parts), None)
    if chosen is None:
        raise DetoxbenchError(f"block {name} of this {model.config.model_type} model holds no matrix")
    return f"{name}.{chosen}"


def block_mixer(model: PreTrainedModel, index: int = -1) -> str | None:
    """The part of a block that mixes positions (attention, a state-space layer); None where there is none."""
    name = block(model, index)
    parts = _parts(model.get_submodule(name))
    return next((f"{name}.{part}" for part, module in parts.items() if mixes(part, module)), None)


def attention_output(model: PreTrainedModel, index: int = -1) -> str | None:
    """The linear layer that ends a block's attention; None where there is none."""
    mixer = block_mixer(model, index)
    if mixer is None:
        return None
    linear = [name for name, module in model.get_submodule(mixer).named_modules() if _is_linear(module)]
    by_name = [name for name in linear if name.rpartition(".")[2] in ATTENTION_OUTPUTS]
    chosen = (by_name or linear)[-1:]
    return f"{mixer}.{chosen[0]}" if chosen else None


def mlp_output(model: PreTrainedModel, index: int = -1) -> list[str]:
    """Names of the parameters through which a block's MLP writes: the matrices that lead back to the model's width, of
    a mixture one for each expert or one for all."""
    name = block(model, index)
    mlp = block_mlp(model, index)
    inside = model.get_submodule(mlp)
    parts = _parts(model.get_submodule(name))
    if mlp == f"{name}.intermediate" and "output" in parts:  # BERT's two halves
        return [f"{name}.output.{key}" for key, value in parts["output"].named_parameters() if value.dim() >= 2]
    if _is_linear(inside):  # inlined in the block: the last of its linear layers
        return [f"{name}.{[part for part, module in parts.items() if _is_linear(module)][-1]}.weight"]
    wanted = re.compile(r"(^|\.)(down_proj|w2|fc2|c_proj|fc_out|dense_4h_to_h|output_linear|wo|v_proj|proj|dense)\b")
    matrices = [key for key, parameter in inside.named_parameters() if parameter.dim() >= 2]
    found = [key for key in matrices if wanted.search(key)] or matrices[-1:]
    return [f"{mlp}.{key}" for key in found]


def head(model: PreTrainedModel) -> nn.Module:
    """The layer from last hidden states to the scores of the vocabulary.

    Raises:
        DetoxbenchError: where the architecture has none.
    """
    found = model.get_output_embeddings()
    if found is None:
        raise DetoxbenchError(f"a {model.config.model_type} model says not which of its layers is the head")
    return found


def tied(model: PreTrainedModel) -> bool:
    """Whether head and token embeddings share one matrix."""
    output, tokens = model.get_output_embeddings(), model.get_input_embeddings()
    ours, theirs = getattr(output, "weight", None), getattr(tokens, "weight", None)
    return isinstance(ours, Tensor) and isinstance(theirs, Tensor) and ours.data_ptr() == theirs.data_ptr()


def final_norm(model: PreTrainedModel) -> str | None:
    """The normalisation behind the last block; None where there is none."""
    listed = blocks(model)
    parent = listed.rpartition(".")[0]
    children = dict(model.get_submodule(parent).named_children())
    norms = [name for name, child in children.items() if _is_norm(child) and name not in NOT_FINAL]
    behind = [name for name in norms if list(children).index(name) > list(children).index(listed.rpartition(".")[2])]
    chosen = [name for name in norms if name in FINAL_NORMS] or behind or norms
    return f"{parent}.{chosen[-1]}".lstrip(".") if chosen else None


def mixes(name: str, module: nn.Module) -> bool:
    """Whether a part of a block looks like one that mixes positions."""
    return bool(MIXERS.search(name) or MIXERS.search(type(module).__name__))


def _parts(module: nn.Module) -> dict[str, nn.Module]:
    """Children with a matrix, in the order in which they were made."""
    return {
        name: child
        for name, child in module.named_children()
        if any(tensor.dim() >= 2 for tensor in (*child.parameters(), *_packed(child)))
    }


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _is_linear(module: nn.Module) -> bool:
    """Also GPT-2's Conv1D, and whatever a quantiser or an adapter puts in its place."""
    weight = getattr(module, "weight", None)
    if isinstance(module, nn.Embedding):
        return False
    return (isinstance(weight, Tensor) and weight.dim() == 2) or is_packed(module)


def is_packed(module: nn.Module) -> bool:
    """Whether it is a quantiser's linear layer: its matrix lies in buffers of integers, under other names."""
    return "Linear" in type(module).__name__ and isinstance(getattr(module, "out_features", None), int)


def _packed(module: nn.Module) -> list[Tensor]:
    return [buffer for one in module.modules() if is_packed(one) for buffer in one.buffers()]


def _is_norm(module: nn.Module) -> bool:
    parameters = list(module.parameters())
    return "norm" in type(module).__name__.lower() and all(parameter.dim() <= 1 for parameter in parameters)
