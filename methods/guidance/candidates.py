"""What a model says of some next tokens, each appended to the text in turn, without copying the text's cache.

The candidates of a position are read as a tree: each sees the text up to its position and itself, and none of the
others, by a mask of its own; then their keys and values are taken off the cache again. Whether a model reads a tree
right is tried on a few tokens, not assumed. One that does not (linear biases, recurrent states), or whose window is
too short, reads copies of the cache with a candidate each, which is slower and comes to the same.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache

from ...core.sampling.cache import new_cache
from ...core.transformers_private import cache_argument, causal_output
from .body import Body

Value = Callable[[Tensor], Tensor]
"""Last hidden states ``[..., dim]`` to float32 ``[...]``."""
BLOCK = 1 << 13
"""Positions of the batch that are read at once where every position of a text is asked about."""
LIMITS = ("max_position_embeddings", "n_positions", "window_size", "attention_window_size", "local_attention")
"""What configurations call numbers of positions that attention does not go beyond."""
_TRIED = (RuntimeError, ValueError, TypeError, NotImplementedError, AttributeError, IndexError)


class Candidates(nn.Module):
    """Called like a causal LM, with ``proposed`` tokens; its ``logits`` are values of those alone.

    Args:
        body: gives last hidden states; registered, unless the base model has it already.
        value: of a text, from its last state.
        registered: whether ``to`` moves the body with this module.
    """

    room = 1
    """Positions beside the text: that of a candidate."""

    def __init__(self, body: Body, value: Value, *, registered: bool = True):
        super().__init__()
        self._body = (body,)
        if registered:
            self.body = body
        self.value = value
        self.tree: bool | None = None
        """Whether the model reads trees right; None until it was tried."""

    @property
    def shared(self) -> tuple[Body, ...]:
        """What it runs that may be the base model's."""
        return self._body

    @property
    def config(self) -> Any:
        return self._body[0].config

    @property
    def device(self) -> torch.device:
        return self._body[0].device

    @torch.no_grad()
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        cache: Cache | None = None,
        use_cache: bool = False,
        logits_to_keep: int | Tensor = 0,
        return_dict: bool = True,
        proposed: Tensor | None = None,
    ) -> Any:
        """transformers' ``CausalLMOutputWithPast`` with float32 ``logits`` ``[batch, kept, n]`` for ``proposed`` token
        ids of that shape."""
        if proposed is None:
            raise TypeError("proposed tokens are needed")
        body, count = self._body[0], input_ids.shape[1]
        ids = input_ids.to(body.device)
        own = new_cache(self.config) if cache is None else cache
        past = own.get_seq_length()
        mask = ids.new_ones(len(ids), past + count) if attention_mask is None else attention_mask.to(ids.device)
        if position_ids is None:
            position_ids = (mask.cumsum(-1) - 1).clamp_(min=0)[:, -count:]
        columns = _columns(logits_to_keep, count, ids.device)
        if self.tree is None:
            self.tree = self._reads_trees()
        fits = past + count + proposed.shape[2] <= self._room
        read = self._tree if self.tree and fits else self._copies
        states = read(ids, mask, position_ids.to(ids.device), own, columns, proposed.to(ids.device))
        return causal_output(self.value(states), cache)

    @functools.cached_property
    def _room(self) -> int:
        """Positions of text and candidates together: within every layer's window, beyond which keys are forgotten, and
        within what the model has positions for."""
        config = self.config.get_text_config()
        windows = [getattr(layer, "sliding_window", None) for layer in new_cache(self.config).layers]
        found = [window - 1 for window in windows if window is not None]
        found += [getattr(config, name) for name in LIMITS if isinstance(getattr(config, name, None), int)]
        return min(found, default=1 << 62)

    def _tree(
        self, ids: Tensor, mask: Tensor, positions: Tensor, cache: Cache, columns: Tensor, proposed: Tensor
    ) -> Tensor:
        batch, count = ids.shape
        width = proposed.shape[2]
        step = max(1, min(BLOCK // (batch * width), (self._room - mask.shape[1]) // width))
        parts = []
        for start in range(0, max(1, len(columns)), step):
            some, tokens = columns[start : start + step], proposed[:, start : start + step].flatten(1)
            at = positions[:, some].add(1).repeat_interleave(width, dim=1)
            text = ids if start == 0 else ids[:, :0]
            tree = _tree_mask(mask, count, text.shape[1], some, width, self._dtype())
            states = self._run(
                torch.cat([text, tokens], 1), tree, torch.cat([positions[:, : text.shape[1]], at], 1), cache
            )
            parts.append(states[:, text.shape[1] :].view(batch, len(some), width, -1))
            cache.crop(-tokens.shape[1])
        return torch.cat(parts, dim=1)

    def _copies(
        self, ids: Tensor, mask: Tensor, positions: Tensor, cache: Cache, columns: Tensor, proposed: Tensor
    ) -> Tensor:
        batch, count = ids.shape
        width, past, parts, done = proposed.shape[2], mask.shape[1] - ids.shape[1], [], 0
        for at, column in enumerate(columns.tolist()):
            if column >= done:
                self._run(
                    ids[:, done : column + 1], mask[:, : past + column + 1], positions[:, done : column + 1], cache
                )
                done = column + 1
            there = copy.deepcopy(cache)
            there.batch_repeat_interleave(width)
            seen = mask[:, : past + column + 1].repeat_interleave(width, dim=0)
            states = self._run(
                proposed[:, at].reshape(-1, 1),
                torch.cat([seen, seen.new_ones(len(seen), 1)], dim=1),
                positions[:, column : column + 1].add(1).repeat_interleave(width, dim=0),
                there,
            )
            parts.append(states.view(batch, width, -1))
        if done < count:
            self._run(ids[:, done:], mask, positions[:, done:], cache)
        return torch.stack(parts, dim=1)

    def _run(self, ids: Tensor, mask: Tensor, positions: Tensor, cache: Cache) -> Tensor:
        body = self._body[0]
        named = cache_argument(("cache",), cache)
        return body(ids, attention_mask=mask, position_ids=positions, use_cache=True, **named).logits

    def _dtype(self) -> torch.dtype:
        return next(self._body[0].parameters()).dtype

    def _reads_trees(self) -> bool:
        """Whether a tree gives the states that copies give, for a padded row and one that is not."""
        device, vocab = self.device, self.config.get_text_config().vocab_size
        ids = torch.tensor([[0, 1, 2, 3], [4, 3, 2, 1]], device=device).clamp_(max=vocab - 1)
        mask = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]], device=device)
        positions = (mask.cumsum(-1) - 1).clamp_(min=0)
        proposed = torch.tensor([[[1, 4, 2], [2, 0, 3]], [[3, 1, 0], [4, 2, 1]]], device=device).clamp_(max=vocab - 1)
        columns = torch.tensor([2, 3], device=device)
        given = ids, mask, positions
        wanted = self._copies(*given, new_cache(self.config), columns, proposed)
        try:
            cache = new_cache(self.config)
            found = self._tree(*given, cache, columns, proposed)
            # Again from what the first reading left: the candidates must be gone.
            more = mask.new_ones(2, 1)
            again = (ids[:, :1], torch.cat([mask, more], 1), positions[:, -1:] + 1)
            then = self._tree(*again, cache, columns[:1] * 0, proposed[:, :1])
            other = new_cache(self.config)
            self._run(*given, other)
            expected = self._copies(*again, other, columns[:1] * 0, proposed[:, :1])
        except _TRIED:
            return False
        tolerance = 1e-3 if self._dtype() == torch.float32 else 5e-2
        return all(
            bool((one.float() - two.float()).abs().max() <= tolerance * two.float().abs().max().clamp(min=1e-3))
            for one, two in ((found, wanted), (then, expected))
        )


def _columns(keep: int | Tensor, count: int, device: torch.device) -> Tensor:
    """Columns of the new tokens that are kept, ascending."""
    every = torch.arange(count, device=device)
    if isinstance(keep, Tensor):
        return every[keep.to(device)]
    return every[-keep:] if keep else every


def _tree_mask(mask: Tensor, count: int, new: int, columns: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """What is added to attention scores ``[batch, 1, new + candidates, past + count + candidates]``: 0 where a token
    sees another one.

    Args:
        mask: ``[batch, past + count]`` of the text.
        count: its new tokens.
        new: those of them that are read in this call: all, or none.
        columns: the new tokens whose candidates are read, ``width`` each.
    """
    batch, total = mask.shape
    past, device = total - count, mask.device
    queries = torch.cat(
        [torch.arange(past + count - new, total, device=device), columns.repeat_interleave(width) + past]
    )
    seen = (torch.arange(total, device=device) <= queries[:, None])[None] & mask[:, None].bool()
    rows = len(queries)
    itself = torch.zeros(rows, rows - new, dtype=torch.bool, device=device)
    itself[new:] = torch.eye(rows - new, dtype=torch.bool, device=device)
    seen = torch.cat([seen, itself.expand(batch, -1, -1)], dim=2)
    # A padded token sees itself, for a row without any is no distribution.
    if new:
        own = torch.arange(new, device=device)
        seen[:, own, past + own] = True
    return torch.zeros(seen.shape, dtype=dtype, device=device).masked_fill_(~seen, torch.finfo(dtype).min)[:, None]
