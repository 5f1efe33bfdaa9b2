"""Where a datastore's key is read: the input of the last block's MLP (Khandelwal et al. 2020), per architecture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..core.errors import DetoxbenchError

LAYERS = {
    "gpt2": "transformer.h.{last}.mlp",
    "gpt_neo": "transformer.h.{last}.mlp",
    "gpt_neox": "gpt_neox.layers.{last}.mlp",
    "bloom": "transformer.h.{last}.mlp",
    "opt": "model.decoder.layers.{last}.fc1",
    "llama": "model.layers.{last}.mlp",
    "mistral": "model.layers.{last}.mlp",
    "qwen2": "model.layers.{last}.mlp",
    "gemma2": "model.layers.{last}.mlp",
    "phi": "model.layers.{last}.mlp",
}
"""``config.model_type`` -> name of the module whose input is the key. OPT's blocks have no MLP module: its first linear
layer stands for it. In Phi's parallel blocks the MLP reads the block's input norm."""


def key_layer(model: PreTrainedModel, name: str | None = None) -> str:
    """The name of the module whose input is the key.

    Args:
        model: a causal LM.
        name: the user's choice; by default looked up by architecture.

    Raises:
        DetoxbenchError: for an architecture not in the table, or a name that the model has no module of.
    """
    kind = model.config.model_type
    if name is None:
        if kind not in LAYERS:
            raise DetoxbenchError(
                f"where the key layer of architecture '{kind}' is, is not known (known: {', '.join(LAYERS)}): name "
                f"the module whose input is the key, e.g. key_layer={_suggestion(model)}"
            )
        name = LAYERS[kind].format(last=model.config.get_text_config().num_hidden_layers - 1)
    try:
        model.get_submodule(name)
    except AttributeError:
        raise DetoxbenchError(
            f"key_layer={name}: this {kind} model has no such module; e.g. key_layer={_suggestion(model)}"
        ) from None
    return name


def key_dim(model: PreTrainedModel, name: str) -> int:
    """Length of a key: the model's width where the architecture's own layer is used, else what one token shows."""
    if name == LAYERS.get(model.config.model_type, "").format(
        last=model.config.get_text_config().num_hidden_layers - 1
    ):
        return model.config.get_text_config().hidden_size
    with torch.no_grad(), capture_input(model.get_submodule(name)) as captured:
        model(input_ids=torch.zeros(1, 1, dtype=torch.int64, device=model.device), use_cache=False)
    if captured.states is None:
        raise DetoxbenchError(f"key_layer={name}: this module is not called when the model runs")
    return captured.states.shape[-1]


def _suggestion(model: PreTrainedModel) -> str:
    """The last module that looks like an MLP."""
    names = [name for name, _ in model.named_modules()]
    endings = ("mlp", "feed_forward", "ffn", "fc1")
    found = [name for name in names if name.rpartition(".")[2] in endings]
    return found[-1] if found else "transformer.h.11.mlp"


class Captured:
    """The last input ``[batch, pos, dim]`` of a watched module."""

    states: Tensor | None = None


@contextmanager
def capture_input(module: nn.Module) -> Iterator[Captured]:
    """Watch a module: its input's first tensor is kept while the context is open."""
    captured = Captured()

    def keep(_module: nn.Module, args: tuple, kwargs: dict) -> None:
        captured.states = args[0] if args else next(iter(kwargs.values()))

    handle = module.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        yield captured
    finally:
        handle.remove()
