"""A key/value cache that grows in place.

transformers' dynamic cache concatenates, which copies every earlier key and value at every token. With hundreds of
short sequences in a batch that costs as much as the attention itself. And it cannot repeat or select recurrent states.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer

from ..transformers_private import is_recurrent, recurrent_rows, use_layers

ROOM = 32
"""Positions allocated ahead."""


class GrowingLayer(DynamicLayer):
    """Keys and values ``[batch, heads, pos, dim]`` as views of a buffer with room for more positions."""

    def __init__(self) -> None:
        super().__init__()
        self._buffers: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        held, also = self.keys, self.values
        if not self.is_initialized or held is None or also is None or held.numel() == 0:
            self.dtype, self.device = key_states.dtype, key_states.device
            self.keys, self.values = key_states, value_states
            self.is_initialized = True
            return key_states, value_states
        start = held.shape[-2]
        end = start + key_states.shape[-2]
        if self._buffers is None or not self._has_room(self._buffers[0], held, end):
            self._buffers = (self._grown(held, end), self._grown(also, end))
        keys, values = self._buffers
        keys[:, :, start:end] = key_states
        values[:, :, start:end] = value_states
        self.keys, self.values = keys[:, :, :end], values[:, :, :end]
        return self.keys, self.values

    @staticmethod
    def _has_room(buffer: Tensor, held: Tensor, end: int) -> bool:
        """Whether the buffer is still what the keys are a view of, and long enough."""
        return buffer.data_ptr() == held.data_ptr() and len(buffer) == len(held) and end <= buffer.shape[-2]

    @staticmethod
    def _grown(states: Tensor, end: int) -> Tensor:
        batch, heads, length, dim = states.shape
        buffer = torch.empty(batch, heads, end + ROOM, dim, dtype=states.dtype, device=states.device)
        buffer[:, :, :length] = states
        return buffer


class GrowingCache(DynamicCache):
    """A dynamic cache whose rows can be repeated and selected whatever its layers are: those of recurrent models know
    neither, and those that hold recurrent states beside keys and values would leave the former as they were."""

    def batch_repeat_interleave(self, repeats: int) -> None:
        layer: Any  # each kind has one of the two
        for layer in self.layers:
            if is_recurrent(layer):
                layer.reorder_cache(torch.arange(recurrent_rows(layer)).repeat_interleave(repeats))
            else:
                layer.batch_repeat_interleave(repeats)

    def batch_select_indices(self, indices: Tensor) -> None:
        layer: Any
        for layer in self.layers:
            if is_recurrent(layer):
                layer.reorder_cache(indices)  # takes rows in any number and order
            else:
                layer.batch_select_indices(indices)


def new_cache(config) -> DynamicCache:
    """A dynamic cache for a model's config; sliding-window and other special layers keep their own kind."""
    return use_layers(GrowingCache(config=config), GrowingLayer)
