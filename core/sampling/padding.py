"""Whether a model reads a row beside left padding as it reads it alone.

Most do, once they are told where the padding is. Decoders of BART's kind count columns, padding included, and take no
positions; some recurrent models take padding into their state. Which is which is not declared anywhere, so that it is
tried out: short rows together, and each alone, one step with the cache included.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..transformers_private import innermost
from .batch import Batch, Request
from .settings import Sampling

LENGTHS = (9, 6, 2)
"""Tokens of the rows that are tried."""
TOLERANCE, ROUGH_TOLERANCE = 1e-3, 3e-2
"""Of the scores' range, that two ways to compute them may differ by: in float32, and in lower precision."""
_KNOWN: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()


@torch.inference_mode()
def padded_alike(model: Any, pad: int = 0) -> bool:
    """Whether prompts of different lengths may share a batch. Tried out once for each model.

    Args:
        model: a causal LM of transformers, or a detoxified one; anything else is believed.
        pad: the token that is filled up with.
    """
    inner = innermost(model)
    if not isinstance(inner, PreTrainedModel):
        return True
    if inner not in _KNOWN:
        vocab = inner.config.get_text_config().vocab_size
        rows, start = [], 1
        for length in LENGTHS:
            rows.append([vocab * (start + at) // (sum(LENGTHS) + 2) for at in range(length)])
            start += length
        next_token = vocab * start // (sum(LENGTHS) + 2)
        together = _scores(model, rows, next_token, pad)
        alone = [_scores(model, [row], next_token, pad) for row in rows]
        rough = inner.dtype.itemsize < 4 or getattr(inner, "is_quantized", False)
        _KNOWN[inner] = all(
            _alike(together[step][at], alone[at][step][0], ROUGH_TOLERANCE if rough else TOLERANCE)
            for at in range(len(rows))
            for step in range(2)
        )
    return _KNOWN[inner]


def _scores(model: Any, rows: Sequence[Sequence[int]], next_token: int, pad: int) -> tuple[Tensor, Tensor]:
    """``[rows, vocab]`` after the rows, and after one more token."""
    batch = Batch(model, [Request(row, 0, [0]) for row in rows], Sampling(2, do_sample=False), [], pad, None, None)
    first, mask = batch.prefill()
    mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
    return first, batch.forward(mask.new_full((len(rows), 1), next_token), mask)


def _alike(one: Tensor, other: Tensor, tolerance: float) -> bool:
    """Whether two rows of scores ``[vocab]`` agree where both are finite, as where a method has cut the nucleus. Rows
    that are no distribution say nothing here; drawing from them is an error of its own."""
    one, other = one.float(), other.float()
    both = one.isfinite() & other.isfinite()
    if not bool(both.any()):
        return True
    one, other = one[both], other[both]
    spread = float(other.max() - other.min())
    return float((one - other).abs().max()) <= tolerance * max(spread, 1e-6)
