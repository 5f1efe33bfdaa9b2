"""What an auxiliary model remembers of every position beside its keys and values, in the same batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from ..streams import CompositeCache


class History:
    """Named tensors ``[batch, pos, ...]``, kept in the pieces that they came in: nothing is copied at each token."""

    def __init__(self) -> None:
        self.pieces: list[dict[str, Tensor]] = []

    def add(self, **piece: Tensor) -> None:
        self.pieces.append(piece)

    def last(self, name: str) -> Tensor | None:
        """``[batch, ...]`` at the last position; None where there is none."""
        return self.pieces[-1][name][:, -1] if self.pieces else None

    def whole(self, name: str) -> Tensor:
        """``[batch, pos, ...]``; there must be a position."""
        return torch.cat([piece[name] for piece in self.pieces], dim=1)

    def change(self, function: Callable[[Tensor], Tensor]) -> None:
        """Of the batch, for every piece."""
        self.pieces = [{name: function(tensor) for name, tensor in piece.items()} for piece in self.pieces]

    def crop(self, tokens: int) -> None:
        """Remove the last ``tokens`` positions."""
        while tokens > 0 and self.pieces:
            length = next(iter(self.pieces[-1].values())).shape[1]
            if length > tokens:
                self.pieces[-1] = {name: tensor[:, : length - tokens] for name, tensor in self.pieces[-1].items()}
                return
            self.pieces.pop()
            tokens -= length


class RememberingCache(CompositeCache):
    """Caches of several streams, or of one, and a history beside them.

    Args:
        streams: name -> cache; must hold ``base``.
    """

    def __init__(self, streams: Mapping[str, Cache]):
        super().__init__(streams)
        self.history = History()
        self.constants: dict[str, Any] = {}
        """What is the same for every row."""

    def reset(self) -> None:
        super().reset()
        self.history, self.constants = History(), {}

    def reorder_cache(self, beam_idx: Tensor) -> None:
        super().reorder_cache(beam_idx)
        self.history.change(lambda tensor: tensor[beam_idx.to(tensor.device)])

    def crop(self, tokens_to_remove: int) -> None:
        super().crop(tokens_to_remove)
        self.history.crop(-tokens_to_remove)

    def batch_repeat_interleave(self, repeats: int) -> None:
        super().batch_repeat_interleave(repeats)
        self.history.change(lambda tensor: tensor.repeat_interleave(repeats, dim=0))

    def batch_select_indices(self, indices: Tensor) -> None:
        super().batch_select_indices(indices)
        self.history.change(lambda tensor: tensor[indices.to(tensor.device)])
