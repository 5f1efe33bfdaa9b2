"""Models that read the same text side by side, each with a key/value cache and a prefix of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache

from ..core.errors import DetoxbenchError
from ..core.sampling.cache import new_cache
from ..core.transformers_private import accepted, cache_argument, first_position

BASE = "base"


class CompositeCache(Cache):
    """One cache a stream; every operation on the batch reaches all of them.

    Args:
        streams: name -> cache; must hold ``base``.
    """

    def __init__(self, streams: Mapping[str, Cache]):
        self.streams = dict(streams)
        # The base cache's own list: what reads ``layers`` sees the base model's, also those added later.
        super().__init__(layers=self.streams[BASE].layers)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Positions of the text: those of a prefix are not the caller's."""
        base = self.streams[BASE]
        return max(base.get_seq_length(layer_idx) - prefix_positions(base), 0)

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        return self.streams[BASE].get_mask_sizes(query_length, layer_idx)

    def update(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        raise DetoxbenchError("a composite cache belongs to a detoxified model; its streams are cached one by one")

    @property
    def is_compileable(self) -> bool:
        return False

    def reset(self) -> None:
        for cache in self.streams.values():
            cache.reset()

    def reorder_cache(self, beam_idx: Tensor) -> None:
        for cache in self.streams.values():
            cache.reorder_cache(beam_idx)

    def crop(self, tokens_to_remove: int) -> None:
        """Remove the last ``-tokens_to_remove`` positions of every stream (transformers' convention: not positive)."""
        for cache in self.streams.values():
            cache.crop(tokens_to_remove)

    def batch_repeat_interleave(self, repeats: int) -> None:
        for cache in self.streams.values():
            cache.batch_repeat_interleave(repeats)

    def batch_select_indices(self, indices: Tensor) -> None:
        for cache in self.streams.values():
            cache.batch_select_indices(indices)

    def activate_past_recording(self) -> None:
        for cache in self.streams.values():
            cache.activate_past_recording()


def keep_positions(states: Tensor, keep: int | Tensor) -> Tensor:
    """``[batch, pos, ...]`` at the kept positions: the last ``keep`` (0: all), or those of an index tensor."""
    if isinstance(keep, Tensor):
        return states[:, keep.to(states.device)]
    return states[:, -keep:] if keep else states


def prefix_positions(cache: Cache | None) -> int:
    """Positions at the front of a stream's cache that are its prefix."""
    return getattr(cache, "prefix_positions", 0)


class Stream:
    """A model and how to call it.

    Args:
        model: a causal LM, or anything called like one.
        prefix: token ids it reads before every text. Left padding then lies between the prefix and the text, where
            the mask hides it and no position is spent on it; only a sliding window counts it. A prefix that begins
            with the token that begins texts (BOS) takes the place of the text's own: the model reads it once.
    """

    def __init__(self, model: nn.Module, prefix: Sequence[int] = ()):
        self.model = model
        self.prefix = tuple(prefix)
        self.accepts, self.first = accepted(model), first_position(model)

    @property
    def room(self) -> int:
        """Positions that it takes beside the text: of its prefix, and of what the model itself puts around it."""
        return len(self.prefix) + getattr(self.model, "room", 0)

    def new_cache(self) -> Cache:
        """An empty one: the model's own kind, where it has one."""
        return self.model.new_cache() if hasattr(self.model, "new_cache") else new_cache(self.model.config)

    def run(
        self,
        ids: Tensor,
        mask: Tensor | None,
        positions: Tensor,
        cache: Cache | None,
        keep: int | Tensor,
        proposed: Tensor | None = None,
    ) -> Tensor:
        """Scores at the kept positions.

        Args:
            ids: ``[batch, pos]`` the new tokens.
            mask: ``[batch, past + pos]`` of the text, without the prefix; None where nothing is padded.
            positions: ``[batch, pos]`` counted from the first unmasked token of the text.
            cache: this stream's own, extended in place; None keeps nothing.
            keep: as in ``keep_positions``.
            proposed: tokens ``[batch, kept, n]`` that the model is asked about; None asks about all.

        Returns:
            ``[batch, kept, vocab]`` in the model's precision, or ``[batch, kept, n]``.
        """
        count = ids.shape[1]
        if self.prefix:
            ids, mask, positions, keep = self._prepend(ids, mask, positions, cache, keep)
        device = self.model.device
        extra: dict[str, Any] = {"attention_mask": None if mask is None else mask.to(device)}
        if "position_ids" in self.accepts:
            extra["position_ids"] = positions.to(device) + self.first
        if "logits_to_keep" in self.accepts:
            extra["logits_to_keep"] = keep
        if proposed is not None:
            extra["proposed"] = proposed.to(device)
        output = self.model(
            input_ids=ids.to(device), use_cache=cache is not None, return_dict=True,
            **cache_argument(self.accepts, cache), **extra,
        )  # fmt: skip
        if "logits_to_keep" in self.accepts:
            return output.logits
        return keep_positions(output.logits[:, -ids.shape[1] :], keep if not self.prefix else (keep or count))

    def _prepend(self, ids: Tensor, mask: Tensor | None, positions: Tensor, cache: Cache | None, keep: int | Tensor):
        """The arguments with the prefix in front; its tokens are read only while the cache is empty."""
        batch, count = len(ids), ids.shape[1]
        past = cache.get_seq_length() if cache is not None else 0
        length = prefix_positions(cache)
        if past == 0:
            ids, length = self._join(ids, mask)
            if cache is not None:
                cache.prefix_positions = length  # type: ignore[attr-defined]
        if mask is not None:
            mask = torch.cat([mask.new_ones(batch, length), mask], dim=1)
        positions = positions + length
        if past == 0:
            ids = torch.cat([torch.tensor(self.prefix[:length], device=ids.device).expand(batch, length), ids], dim=1)
            front = torch.arange(length, device=positions.device).expand(len(positions), length)
            positions = torch.cat([front, positions], dim=1)
            keep = keep + length if isinstance(keep, Tensor) else (keep or count)
        return ids, mask, positions, keep

    def _join(self, ids: Tensor, mask: Tensor | None) -> tuple[Tensor, int]:
        """The text's tokens, and how many of the prefix go before them: where both begin with BOS, the prefix's last
        token takes the place of the text's.

        Raises:
            DetoxbenchError: where some texts of a batch begin with BOS and others do not.
        """
        begins = getattr(getattr(self.model, "config", None), "bos_token_id", None)
        if len(self.prefix) < 2 or begins is None or self.prefix[0] != begins:
            return ids, len(self.prefix)
        first = ids.new_zeros(len(ids)) if mask is None else mask.to(ids.device).long().argmax(1)
        rows = torch.arange(len(ids), device=ids.device)
        double = ids[rows, first] == begins
        if not bool(double.any()):
            return ids, len(self.prefix)
        if not bool(double.all()):
            raise DetoxbenchError(
                f"some texts of a batch begin with the token {begins}, which the method's own prefix begins with, and "
                "others do not: encode all of them with it, or none"
            )
        ids = ids.clone()
        ids[rows, first] = self.prefix[-1]
        return ids, len(self.prefix) - 1
