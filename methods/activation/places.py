"""Where activation methods read and change hidden states, and through which weights, found from the model itself."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ...core.errors import DetoxbenchError
from ..architecture import attention_output, block, block_mixer, block_mlp, blocks, is_packed, mlp_output
from ..base import Place
from .hooks import hooked

POST = re.compile(r"post", re.IGNORECASE)


def count(model: PreTrainedModel) -> int:
    """Blocks of the model."""
    return len(model.get_submodule(blocks(model)))  # type: ignore[arg-type]


def width(model: PreTrainedModel) -> int:
    """Length of the hidden states between blocks."""
    return model.config.get_text_config(decoder=True).hidden_size


def mixture(model: PreTrainedModel, index: int) -> bool:
    """Whether a block's MLP is a mixture of experts: it holds a list of them, or their matrices in one tensor."""
    inside = model.get_submodule(block_mlp(model, index))
    return any(isinstance(one, nn.ModuleList) for one in inside.modules()) or any(
        parameter.dim() > 2 for parameter in inside.parameters()
    )


def mlp_outputs(model: PreTrainedModel) -> dict[str, Place]:
    """What the linear layers of every block's MLP put out, first and last. Of a mixture, where a token sees a few
    experts only, what all of it puts out."""
    found: dict[str, Place] = {}
    for index in range(count(model)):
        mlp = block_mlp(model, index)
        if mixture(model, index):
            found[mlp] = Place(mlp)
        else:
            found |= {name: Place(name) for name in _mlp_linear(model, index, mlp)}
    return found


def _mlp_linear(model: PreTrainedModel, index: int, mlp: str) -> list[str]:
    inside = model.get_submodule(mlp)
    if is_linear(inside):  # inlined in the block, as in OPT: from this one to the last
        name = block(model, index)
        linear = [f"{name}.{part}" for part, one in model.get_submodule(name).named_children() if is_linear(one)]
        return linear[linear.index(mlp) :]
    linear = [f"{mlp}.{part}" for part, one in inside.named_modules() if is_linear(one)]
    if not linear:
        raise DetoxbenchError(f"{mlp} of this {model.config.model_type} model holds no linear layer")
    return linear


def block_outputs(model: PreTrainedModel) -> dict[str, Place]:
    """The hidden states behind every block."""
    return {name: Place(name) for name in (block(model, index) for index in range(count(model)))}


def attention_outputs(model: PreTrainedModel) -> dict[str, Place]:
    """What every block's attention puts out, after its projection.

    Raises:
        DetoxbenchError: for a model without attention.
    """
    found = {name: Place(name) for name in _attention(model)}
    return found or _none(model, "attention")


def head_outputs(model: PreTrainedModel) -> dict[str, Place]:
    """The outputs of every block's attention heads, side by side, before they are projected.

    Raises:
        DetoxbenchError: for a model without attention.
    """
    found = {name: Place(name, "input") for name in _attention(model)}
    return found or _none(model, "attention")


def _attention(model: PreTrainedModel) -> list[str]:
    """The linear layers that end attention; other mixers of positions (state-space layers) have no such heads."""
    found = []
    for index in range(count(model)):
        mixer, output = block_mixer(model, index), attention_output(model, index)
        if mixer is not None and output is not None:
            kind = type(model.get_submodule(mixer)).__name__
            if "attention" in kind.lower() or "attention" in mixer.lower() or mixer.rpartition(".")[2] == "attn":
                found.append(output)
    return found


def heads(model: PreTrainedModel) -> int:
    """Attention heads of a block: of the queries, where several share a key."""
    text = model.config.get_text_config(decoder=True)
    found = getattr(text, "num_attention_heads", None)
    if not isinstance(found, int):
        raise DetoxbenchError(f"the configuration of this {model.config.model_type} model has no one number of heads")
    return found


def norm_outputs(model: PreTrainedModel) -> dict[str, Place]:
    """What the normalisations of every block put out: of a block that normalises what attention and MLP put out
    (Gemma, OLMo 2), those; else all of the block's.

    Raises:
        DetoxbenchError: for a model without any.
    """
    found: dict[str, Place] = {}
    for index in range(count(model)):
        name = block(model, index)
        norms = [part for part, one in model.get_submodule(name).named_children() if _is_norm(one)]
        behind = [part for part in norms if POST.search(part)]
        chosen = behind if len(behind) > 1 else norms
        found |= {f"{name}.{part}": Place(f"{name}.{part}") for part in chosen}
    return found or _none(model, "normalisation")


def in_order(model: PreTrainedModel, places: Mapping[str, Place]) -> dict[str, Place]:
    """Places in the order in which the model comes to them; those that it does not come to are left out."""
    met: dict[str, None] = {}
    changes = {place: (lambda states, name=name: met.setdefault(name)) for name, place in places.items()}
    with torch.no_grad(), hooked(model, changes):
        ids = torch.ones(1, 2, dtype=torch.int64, device=model.device)
        model(input_ids=ids, attention_mask=ids, use_cache=False)
    return {name: places[name] for name in met}


def written_by(model: PreTrainedModel, index: int) -> dict[str, int]:
    """Matrices through which a block's MLP writes -> the axis of what is written: of a mixture, of all experts."""
    return {name: output_axis(model, name) for name in mlp_output(model, index)}


def output_axis(model: PreTrainedModel, name: str) -> int:
    """The axis of a matrix, or of a mixture's stacked ones, that counts outputs.

    Raises:
        DetoxbenchError: where neither shape nor module tells.
    """
    owner = model.get_submodule(name.rpartition(".")[0])
    shape = owner.get_parameter(name.rpartition(".")[2]).shape
    if len(shape) == 2:
        return 1 if type(owner).__name__ == "Conv1D" else 0
    if len(shape) == 3:
        turned = getattr(owner, "is_transposed", None)
        if isinstance(turned, bool):
            return 2 if turned else 1
        fitting = [axis for axis in (1, 2) if shape[axis] == width(model)]
        if len(fitting) == 1:
            return fitting[0]
    raise DetoxbenchError(f"{name} of this {model.config.model_type} model: which axis counts outputs is unclear")


def is_linear(module: nn.Module) -> bool:
    """A linear layer: torch's, GPT-2's Conv1D, or one that a quantiser or adapter puts in its place. No router of a
    mixture, which puts out a choice."""
    weight = getattr(module, "weight", None)
    named = type(module).__name__
    return (
        ((isinstance(weight, Tensor) and (weight.dim() == 2 or "Linear" in named)) or is_packed(module))
        and not isinstance(module, nn.Embedding)
        and "router" not in named.lower()
    )


def _is_norm(module: nn.Module) -> bool:
    return "norm" in type(module).__name__.lower() and all(one.dim() <= 1 for one in module.parameters())


def _none(model: PreTrainedModel, what: str) -> dict[str, Place]:
    raise DetoxbenchError(f"this {model.config.model_type} model has no {what} in its blocks that could be changed")


def out_features(model: PreTrainedModel, name: str) -> int:
    """Length of what a module puts out: of a linear layer its own, else the model's width."""
    module = model.get_submodule(name)
    if not is_linear(module):
        return width(model)
    for attribute in ("out_features", "nf"):
        found = getattr(module, attribute, None)
        if isinstance(found, int):
            return found
    return module.weight.shape[0]  # type: ignore[union-attr, return-value, index]


def mixture_of(name: str, places: Mapping[str, Place]) -> str | None:
    """The place within which a parameter lies; None where it lies in none."""
    return next((place for place in places if name.startswith(f"{place}.")), None)


def written(model: PreTrainedModel, name: str) -> bool:
    """Whether a parameter of a mixture is a matrix through which it writes, or the bias of one."""
    matrices = {one for index in range(count(model)) if mixture(model, index) for one in written_by(model, index)}
    biases = {f"{one}_bias" for one in matrices} | {f"{one.removesuffix('weight')}bias" for one in matrices}
    return name in matrices or name in biases


def in_features(model: PreTrainedModel, name: str) -> int:
    """Length of what goes into a linear layer."""
    module = model.get_submodule(name)
    for attribute in ("in_features", "nx"):
        found = getattr(module, attribute, None)
        if isinstance(found, int):
            return found
    return module.weight.shape[1]  # type: ignore[union-attr, return-value, index]
