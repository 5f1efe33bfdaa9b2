"""Probabilities of the next token after many prompts that begin alike: what they share is read once.

Rows are padded on the right, which a causal model cannot see from where it answers: with any attention, and with a
sliding window too, padding changes nothing. Rows are sorted by length, and a batch is bounded by tokens and by the
bytes of its keys and values and of its logits.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...likelihood import BATCH_TOKENS, LOGIT_BYTES
from ...sampling.cache import new_cache
from ...transformers_private import accepted, cache_argument, cache_of

LEAST_SHARED = 8
"""Tokens that are worth a forward pass of their own."""
CACHE_BYTES = {"cpu": 1 << 30, "cuda": 8 << 30}
"""Of the keys and values of what is shared, repeated for the rows of a batch."""


def shared(rows: Sequence[Sequence[int]]) -> int:
    """Tokens that all rows begin with; at least one is left of each.

    >>> shared([[1, 2, 3, 4], [1, 2, 5]])
    2
    """
    if not rows:
        return 0
    low, high = min(map(list, rows)), max(map(list, rows))
    limit = min(map(len, rows)) - 1
    return next((place for place in range(limit) if low[place] != high[place]), limit)


class Reader:
    """A causal LM that is asked for one token.

    Args:
        model: of transformers, on its device and in its dtype.
        batch_tokens: tokens of a forward pass, padding included and the shared beginning not.
        share: whether the shared beginning is read once.
    """

    def __init__(self, model: Any, *, batch_tokens: int | None = None, share: bool = True):
        self.model = model.eval()
        self.device = model.device
        kind = "cpu" if self.device.type == "cpu" else "cuda"
        self.batch_tokens = batch_tokens or BATCH_TOKENS[kind]
        self._logit_bytes, self._cache_bytes = LOGIT_BYTES[kind], CACHE_BYTES[kind]
        self._share = share
        self._names = accepted(model)

    def probabilities(
        self, rows: Sequence[Sequence[int]], labels: Sequence[Sequence[int]], top: int | None = None
    ) -> np.ndarray:
        """Probability of each label at the next token, summed over the label's tokens.

        Args:
            rows: tokens of whole prompts, none empty.
            labels: tokens of each label.
            top: only the most probable so many tokens of the vocabulary count.

        Returns:
            float64 ``[rows, labels]``; NaN where the model's output is not a number.

        Raises:
            torch.OutOfMemoryError: where a single row does not fit.
        """
        # A text that comes twice is read once, so that it has one score.
        distinct = sorted({tuple(row) for row in rows}, key=lambda row: (-len(row), row))
        found = {}
        with torch.inference_mode():
            start = shared(distinct) if self._share and len(distinct) > 1 else 0
            start = start if start >= LEAST_SHARED else 0
            prefix = self._read(distinct[0][:start]) if start else None
            share = 1.0
            left = [row[start:] for row in distinct]
            done = 0
            while left:
                count = self._fitting(left, start, prefix, share)
                got = self._attempt(left[:count], start, prefix, labels, top)
                if got is None:
                    if count == 1:
                        tokens = start + len(left[0])
                        raise torch.OutOfMemoryError(f"a prompt of {tokens:,} tokens does not fit the GPU")
                    share *= 0.5
                    torch.cuda.empty_cache()
                    continue
                found.update(zip(distinct[done : done + count], got, strict=True))
                done, left = done + count, left[count:]
        return np.array([found[tuple(row)] for row in rows]).reshape(len(rows), len(labels))

    def _read(self, tokens: Sequence[int]) -> Any:
        """The cache of what all rows begin with, of one row."""
        ids = torch.as_tensor([tokens], device=self.device)
        kept = {"logits_to_keep": 1} if "logits_to_keep" in self._names else {}
        cache = cache_argument(self._names, new_cache(self.model.config))
        return cache_of(self.model(input_ids=ids, use_cache=True, **cache, **kept))

    def _fitting(self, left: Sequence[Sequence[int]], start: int, prefix: Any, share: float) -> int:
        """How many of the first rows go into one batch; at least 1."""
        config = self.model.config.get_text_config()
        row_bytes = _bytes(prefix) if prefix is not None else 0
        position = config.vocab_size * max(self.model.dtype.itemsize, 4)
        ends: set[int] = set()
        width = len(left[0])
        for count, row in enumerate(left):
            ends.add(len(row))
            kept = len(ends) if "logits_to_keep" in self._names else width
            size, tokens = count + 1, (count + 1) * width
            too_big = tokens > share * self.batch_tokens or size * kept * position > share * self._logit_bytes
            if count and (too_big or size * row_bytes > share * self._cache_bytes):
                return count
        return len(left)

    def _attempt(self, *given: Any) -> np.ndarray | None:
        """The probabilities of a batch; None where the GPU's memory ran out."""
        try:
            return self._batch(*given)
        except torch.OutOfMemoryError:
            return None

    def _batch(
        self, rows: Sequence[Sequence[int]], start: int, prefix: Any, labels: Sequence[Sequence[int]], top: int | None
    ) -> np.ndarray:
        width = max(map(len, rows))
        ids = torch.zeros(len(rows), width, dtype=torch.int64)
        mask = torch.zeros(len(rows), start + width, dtype=torch.int64)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.as_tensor(row)
            mask[place, : start + len(row)] = 1
        last = torch.tensor([len(row) - 1 for row in rows])
        ends, which = torch.unique(last, return_inverse=True)
        given: dict[str, Any] = {"input_ids": ids.to(self.device), "attention_mask": mask.to(self.device)}
        if prefix is not None:
            cache = copy.deepcopy(prefix)
            cache.batch_repeat_interleave(len(rows))
            given |= {"use_cache": True, **cache_argument(self._names, cache)}
        else:
            given["use_cache"] = False
        if "logits_to_keep" in self._names:
            given["logits_to_keep"], place = ends.to(self.device), which
        else:
            place = last
        logits = self.model(**given).logits
        rows_at = torch.arange(len(rows), device=self.device)
        return _masses(logits[rows_at, place.to(self.device)], labels, top)


def _bytes(cache: Any) -> int:
    """Of the tensors of a cache of one row."""
    states = (value for layer in cache.layers for value in vars(layer).values())
    return sum(one.numel() * one.element_size() for one in states if isinstance(one, Tensor))


def _masses(logits: Tensor, labels: Sequence[Sequence[int]], top: int | None) -> np.ndarray:
    """float64 ``[rows, labels]`` of logits ``[rows, vocab]``."""
    probabilities = logits.float().softmax(-1)
    if top is not None and top < probabilities.shape[-1]:
        least = probabilities.topk(top, dim=-1).values[:, -1:]
        probabilities = probabilities.where(probabilities >= least, 0.0)
    masses = [probabilities[:, list(tokens)].double().sum(-1) for tokens in labels]
    return torch.stack(masses, dim=-1).cpu().numpy()
