"""Likelihoods of token rows under a causal LM, in batches bounded by tokens and by the bytes of their logits.

Rows that begin alike, as the continuations of one prompt do, share its keys and values: what they have in common is
read once a batch and not once a row.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .sampling.cache import new_cache
from .sampling.room import cache_bytes
from .transformers_private import accepted, cache_argument, cache_of, is_recurrent, keeps_cache

BATCH_TOKENS = {"cpu": 1_024, "cuda": 32_768}
"""Rows x positions of a forward pass."""
LOGIT_BYTES = {"cpu": 1 << 27, "cuda": 1 << 31}
"""Of the logits of a forward pass: with a vocabulary of 262,144 tokens they, not the model, are the largest tensor."""
CACHE_BYTES = {"cpu": 1 << 29, "cuda": 1 << 33}
"""Of the keys and values of a forward pass whose rows share what they begin with."""
BLOCK_BYTES = 1 << 25
"""Of the float32 logits that are reduced at a time."""


@dataclass(frozen=True)
class Row:
    """A sequence that a model reads.

    Args:
        tokens: its ids.
        first: place of the first token that counts, at least 1; those before it are context.
    """

    tokens: Sequence[int]
    first: int

    @property
    def counted(self) -> int:
        return max(len(self.tokens) - self.first, 0)

    @property
    def context(self) -> tuple[int, ...]:
        """What is read before the first token that says something of a counted one."""
        return tuple(self.tokens[: self.first - 1])


def likelihoods(
    model: Any, rows: Sequence[Row], device: torch.device, on_batch: Callable[[int], None] | None = None
) -> np.ndarray:
    """Sum over the counted tokens of each row of -log p(token | those before).

    Logits are computed where they count, as far as the model lets us say where (``logits_to_keep``). What does not
    fit into a GPU's memory is tried again in halves.

    Args:
        model: a causal LM.
        rows: each with at least one counted token.
        device: of the model.
        on_batch: called with the number of rows finished.

    Returns:
        Nats, float64 ``[rows]``.

    Raises:
        torch.OutOfMemoryError: where a single row does not fit.
    """
    sums = np.zeros(len(rows))
    shared = shared_contexts(model, rows)
    left = sorted(range(len(rows)), key=lambda place: (-shared[place], -len(rows[place].tokens), rows[place].first))
    share = 1.0
    while left:
        common, places = next(itertools.groupby(left, shared.__getitem__))
        alike = [rows[place] for place in places]
        count = _fitting(model, alike, device, share, common)
        batch = left[:count]
        found = _attempt(model, alike[:count], device, common)
        if found is None:
            if count == 1:
                raise torch.OutOfMemoryError(f"a text of {len(rows[batch[0]].tokens):,} tokens does not fit the GPU")
            share *= 0.5
            torch.cuda.empty_cache()
            continue
        sums[batch] = found
        left = left[count:]
        if on_batch:
            on_batch(count)
    return sums


def shared_contexts(model: Any, rows: Sequence[Row]) -> list[int]:
    """How many tokens of each row are read once for all rows that begin with them; 0 where no other row does, or where
    the model does not go on from keys and values."""
    if not keeps_cache(model) or any(map(is_recurrent, new_cache(model.config).layers)):
        return [0] * len(rows)
    config = model.config.get_text_config()
    windows = (getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size"))
    # What has left a window, where a layer has one, is not in its cache.
    window = min((one for one in windows if isinstance(one, int) and one > 0), default=None)
    contexts = [row.context if window is None or len(row.tokens) <= window else () for row in rows]
    counts = Counter(contexts)
    return [len(context) if counts[context] > 1 else 0 for context in contexts]


def _fitting(model: Any, rows: Sequence[Row], device: torch.device, share: float, shared: int = 0) -> int:
    """How many of the first rows go into one batch; at least 1."""
    kind = "cpu" if device.type == "cpu" else "cuda"
    tokens, size = share * BATCH_TOKENS[kind], share * LOGIT_BYTES[kind]
    position = model.config.get_text_config().vocab_size * max(model.dtype.itemsize, 2)
    width, first = len(rows[0].tokens), len(rows[0].tokens)
    if shared:
        held = width * cache_bytes(model)
        rows = rows[: max(1, int(share * CACHE_BYTES[kind]) // held)] if held else rows
    for count, row in enumerate(rows):
        first = min(first, row.first)
        kept = width - first if _keeps(model) else width - shared - 1
        if count and ((count + 1) * (width - shared) > tokens or (count + 1) * kept * position > size):
            return count
    return len(rows)


def _attempt(model: Any, rows: Sequence[Row], device: torch.device, shared: int = 0) -> np.ndarray | None:
    """The sums of a batch; None where the GPU's memory ran out (the error, which holds tensors, is gone by then)."""
    try:
        return _sums(model, rows, device, shared)
    except torch.OutOfMemoryError:
        return None


def _sums(model: Any, rows: Sequence[Row], device: torch.device, shared: int = 0) -> np.ndarray:
    width, first = max(len(row.tokens) for row in rows) - shared, min(row.first for row in rows) - shared
    ids = torch.zeros(len(rows), width, dtype=torch.int64)
    mask, counts = torch.zeros_like(ids), torch.zeros(len(rows), width, dtype=torch.bool)
    for at, row in enumerate(rows):
        length = len(row.tokens) - shared
        ids[at, :length] = torch.as_tensor(row.tokens[shared:], dtype=torch.int64)
        mask[at, :length] = 1
        counts[at, row.first - shared : length] = True
    ids, mask, counts = ids.to(device), mask.to(device), counts.to(device)
    # Nothing is asked after the last token, and what stands behind a row's end is seen by none before it.
    given: dict[str, Any] = {"logits_to_keep": width - first} if _keeps(model) else {}
    if shared:
        given |= {"use_cache": True, **cache_argument(accepted(model), _read(model, rows, device, shared))}
    else:
        given |= {"use_cache": False, "attention_mask": mask[:, :-1]}
    logits = model(input_ids=ids[:, :-1], **given).logits[:, -(width - first) :]
    wanted = counts[:, first:]
    losses = torch.zeros(wanted.shape, dtype=torch.float64, device=device)
    losses[wanted] = negative_log_likelihood(logits, ids[:, first:][wanted], wanted.nonzero(as_tuple=True))
    return losses.sum(-1).cpu().numpy()


def _read(model: Any, rows: Sequence[Row], device: torch.device, shared: int) -> Any:
    """Keys and values of what the rows begin with, each context read once. All are of one length: nothing is padded."""
    contexts = {context: at for at, context in enumerate(dict.fromkeys(row.context for row in rows))}
    kept = {"logits_to_keep": 1} if _keeps(model) else {}
    read = cache_argument(accepted(model), new_cache(model.config))
    cache = cache_of(model(input_ids=torch.tensor(list(contexts), device=device), use_cache=True, **read, **kept))
    cache.batch_select_indices(torch.tensor([contexts[row.context] for row in rows], device=device))
    return cache


def negative_log_likelihood(logits: Tensor, tokens: Tensor, places: tuple[Tensor, ...] | None = None) -> Tensor:
    """``-log softmax(logits)[token]``, reduced in float32 block by block.

    Args:
        logits: ``[..., vocab]``, of any floating type.
        tokens: int64 ``[rows]``.
        places: where the logits of each row lie, a tensor of indices for each dimension but the last; by default they
            are ``[rows, vocab]``. Those of a block are copied, never all.

    Returns:
        float64 ``[rows]``.
    """
    found = torch.empty(len(tokens), dtype=torch.float64, device=logits.device)
    block = max(1, BLOCK_BYTES // (4 * logits.shape[-1]))
    for start in range(0, len(tokens), block):
        at = slice(start, start + block)
        part = logits[at] if places is None else logits[tuple(one[at] for one in places)]
        part = part if part.dtype == torch.float64 else part.float()
        chosen = part.gather(-1, tokens[at, None]).squeeze(-1)
        found[at] = part.logsumexp(-1) - chosen
    return found


def _keeps(model: Any) -> bool:
    """Whether the model computes the logits of the last positions alone, if asked to."""
    return "logits_to_keep" in accepted(model)
