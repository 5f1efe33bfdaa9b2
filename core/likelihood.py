"""Likelihoods of token rows under a causal LM, in batches bounded by tokens and by the bytes of their logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .transformers_private import accepted

BATCH_TOKENS = {"cpu": 1_024, "cuda": 32_768}
"""Rows x positions of a forward pass."""
LOGIT_BYTES = {"cpu": 1 << 27, "cuda": 1 << 31}
"""Of the logits of a forward pass: with a vocabulary of 262,144 tokens they, not the model, are the largest tensor."""
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
    left = sorted(range(len(rows)), key=lambda place: (-len(rows[place].tokens), rows[place].first))
    share = 1.0
    while left:
        count = _fitting(model, [rows[place] for place in left], device, share)
        batch = left[:count]
        found = _attempt(model, [rows[place] for place in batch], device)
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


def _fitting(model: Any, rows: Sequence[Row], device: torch.device, share: float) -> int:
    """How many of the first rows go into one batch; at least 1."""
    kind = "cpu" if device.type == "cpu" else "cuda"
    tokens, size = share * BATCH_TOKENS[kind], share * LOGIT_BYTES[kind]
    position = model.config.get_text_config().vocab_size * max(model.dtype.itemsize, 2)
    width, first = len(rows[0].tokens), len(rows[0].tokens)
    for count, row in enumerate(rows):
        first = min(first, row.first)
        kept = width - first + 1 if _keeps(model) else width
        if count and ((count + 1) * width > tokens or (count + 1) * kept * position > size):
            return count
    return len(rows)


def _attempt(model: Any, rows: Sequence[Row], device: torch.device) -> np.ndarray | None:
    """The sums of a batch; None where the GPU's memory ran out (the error, which holds tensors, is gone by then)."""
    try:
        return _sums(model, rows, device)
    except torch.OutOfMemoryError:
        return None


def _sums(model: Any, rows: Sequence[Row], device: torch.device) -> np.ndarray:
    width, first = max(len(row.tokens) for row in rows), min(row.first for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.int64)
    mask, counts = torch.zeros_like(ids), torch.zeros(len(rows), width, dtype=torch.bool)
    for at, row in enumerate(rows):
        ids[at, : len(row.tokens)] = torch.as_tensor(row.tokens, dtype=torch.int64)
        mask[at, : len(row.tokens)] = 1
        counts[at, row.first : len(row.tokens)] = True
    ids, mask, counts = ids.to(device), mask.to(device), counts.to(device)
    kept = {"logits_to_keep": width - first + 1} if _keeps(model) else {}
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False, **kept).logits
    logits = logits[:, -(width - first + 1) : -1]
    wanted = counts[:, first:]
    losses = torch.zeros(wanted.shape, dtype=torch.float64, device=device)
    losses[wanted] = negative_log_likelihood(logits, ids[:, first:][wanted], wanted.nonzero(as_tuple=True))
    return losses.sum(-1).cpu().numpy()


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
