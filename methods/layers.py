"""Where a datastore's key is read: the input of the last block's MLP (Khandelwal et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..core.errors import DetoxbenchError
from .architecture import block_mlp


def key_layer(model: PreTrainedModel, name: str | None = None) -> str:
    """The name of the module whose input is the key.

    Args:
        model: a causal LM.
        name: the user's choice; by default the last block's MLP, found from the model itself.

    Raises:
        DetoxbenchError: for a model without blocks, or a name that the model has no module of.
    """
    if name is None:
        try:
            return block_mlp(model)
        except DetoxbenchError as error:
            raise DetoxbenchError(f"{error}: name the module whose input is the key, with key_layer=…") from None
    try:
        model.get_submodule(name)
    except AttributeError:
        kind = model.config.model_type
        raise DetoxbenchError(
            f"key_layer={name}: this {kind} model has no such module; e.g. key_layer={block_mlp(model)}"
        ) from None
    return name


def key_dim(model: PreTrainedModel, name: str) -> int:
    """Length of a key, as one token shows it."""
    with torch.no_grad(), capture_input(model.get_submodule(name)) as captured:
        model(input_ids=torch.zeros(1, 1, dtype=torch.int64, device=model.device), use_cache=False)
    if captured.states is None:
        raise DetoxbenchError(f"key_layer={name}: this module is not called when the model runs")
    return captured.states.shape[-1]


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
