"""Generation of K samples of each of many prompts with one prefill a prompt."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..constants import MAX_NEW_TOKENS, TEMPERATURE, TOP_P
from ..errors import DetoxbenchError
from .cache import new_cache
from .noise import row_keys
from .nucleus import draw

CPU_BATCH_TOKENS = 16_384
GPU_BATCH_TOKENS = 131_072
COMPACT_BELOW = 0.75
"""Finished sequences leave the batch once the others are fewer than this share of it; leaving copies the cache."""


@dataclass(frozen=True)
class Sampling:
    """How continuations are drawn.

    Args:
        max_new_tokens: the most tokens of a continuation, the end token included.
        top_p: nucleus mass in (0, 1].
        temperature: > 0.
        top_k: 0 for none; there is no hidden default.
        do_sample: False takes the most probable token.
        seed: of the hashed noise.
    """

    max_new_tokens: int = MAX_NEW_TOKENS
    top_p: float = TOP_P
    temperature: float = TEMPERATURE
    top_k: int = 0
    do_sample: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name, valid, allowed in (
            ("max_new_tokens", self.max_new_tokens >= 1, "a whole number of at least 1"),
            ("top_p", 0 < self.top_p <= 1, "a number above 0 and at most 1"),
            ("temperature", self.temperature > 0, "a number above 0 (do_sample=False for the most probable token)"),
            ("top_k", self.top_k >= 0, "a whole number of at least 0 (0 turns it off)"),
        ):
            if not valid:
                raise DetoxbenchError(f"{name}={getattr(self, name)}: it must be {allowed}")


@dataclass(frozen=True)
class Request:
    """Samples wanted of one prompt.

    Args:
        tokens: the encoded prompt, at least one token.
        key: ``noise.prompt_key`` of its text.
        samples: the index of each sample wanted.
    """

    tokens: Sequence[int]
    key: int
    samples: Sequence[int]


@torch.inference_mode()
def generate(
    model: Any,
    requests: Sequence[Request],
    sampling: Sampling,
    *,
    eos: Sequence[int],
    pad: int = 0,
    batch_tokens: int | None = None,
    should_stop: Callable[[list[int]], bool] | None = None,
    on_batch: Callable[[int, int], None] | None = None,
) -> list[list[list[int]]]:
    """Continue every prompt.

    Args:
        model: a causal LM of transformers' interface, or a detoxified one.
        requests: prompts; their order has no influence on any text.
        sampling: see there.
        eos: token ids that end a sequence; they are not part of the result.
        pad: token id to fill up with.
        batch_tokens: bound on sequences x positions of a batch; by default by device, halved where memory is short.
        should_stop: called with a sequence's new tokens after each step; True ends it (stop strings).
        on_batch: called with (requests finished, tokens generated) after each batch.

    Returns:
        For each request, for each of its samples, the new token ids.
    """
    device = model.device
    budget = batch_tokens or (CPU_BATCH_TOKENS if device.type == "cpu" else GPU_BATCH_TOKENS)
    results: list[list[list[int]]] = [[] for _ in requests]
    pending = sorted(range(len(requests)), key=lambda i: -len(requests[i].tokens))
    while pending:
        batch = _next_batch(pending, requests, sampling, budget)
        try:
            outputs = _Batch(model, [requests[i] for i in batch], sampling, eos, pad, should_stop).run()
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise
            torch.cuda.empty_cache()
            budget //= 2
            continue
        for i, output in zip(batch, outputs, strict=True):
            results[i] = output
        pending = pending[len(batch) :]
        if on_batch:
            on_batch(len(batch), sum(len(tokens) for output in outputs for tokens in output))
    return results


def _next_batch(pending: list[int], requests: Sequence[Request], sampling: Sampling, budget: int) -> list[int]:
    """The longest pending prompts that fit the budget together; at least one."""
    longest = len(requests[pending[0]].tokens) + sampling.max_new_tokens
    rows, batch = 0, []
    for i in pending:
        rows += len(requests[i].samples)
        if batch and rows * longest > budget:
            break
        batch.append(i)
    return batch


class _Batch:
    """State of the generation of one batch: rows are the samples of all its prompts, finished rows leave."""

    def __init__(self, model, requests, sampling, eos, pad, should_stop):
        self.model, self.requests, self.sampling = model, requests, sampling
        self.eos, self.pad, self.should_stop = set(eos), pad, should_stop
        self.device = model.device
        counts = [len(request.samples) for request in requests]
        self.rectangular = len(set(counts)) == 1
        self.owner = np.repeat(np.arange(len(requests)), counts)
        self.prompt_keys = np.array([request.key for request in requests], dtype=np.uint64)[self.owner]
        self.samples = np.concatenate([np.asarray(request.samples, dtype=np.int64) for request in requests])
        self.new: list[list[int]] = [[] for _ in self.owner]
        parameters = inspect.signature(model.forward).parameters
        self.accepts = {name for name in ("position_ids", "logits_to_keep") if name in parameters}
        self.cache = model.new_cache() if hasattr(model, "new_cache") else new_cache(model.config)

    def run(self) -> list[list[list[int]]]:
        rows = np.arange(len(self.owner))
        scores, mask = self._prefill()
        for step in range(self.sampling.max_new_tokens):
            tokens = self._draw(scores, rows, step)
            going = np.array([self._append(row, token) for row, token in zip(rows, tokens.tolist(), strict=True)])
            if step == self.sampling.max_new_tokens - 1 or not going.any():
                break
            if step == 0:
                owner = torch.as_tensor(self.owner, device=self.device)
                self._reorder(owner)
                mask = mask[owner]
            alive = self._alive(going, rows)
            if len(alive) < COMPACT_BELOW * len(rows):
                index = torch.as_tensor(alive, device=self.device)
                self.cache.batch_select_indices(index)
                mask, tokens, rows = mask[index], tokens[index], rows[alive]
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
            scores = self._forward(tokens.unsqueeze(1), mask)
        results: list[list[list[int]]] = [[] for _ in self.requests]
        for owner, tokens in zip(self.owner, self.new, strict=True):
            results[owner].append(tokens)
        return results

    def _alive(self, going: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Positions among the present rows that go on; a row once finished stays finished until it leaves."""
        self._done.update(rows[~going].tolist())
        return np.array([at for at, row in enumerate(rows) if row not in self._done])

    def _append(self, row: int, token: int) -> bool:
        """Record a token; whether the row goes on."""
        if row in self._done or token in self.eos:
            return False
        self.new[row].append(token)
        return not (self.should_stop and self.should_stop(self.new[row]))

    def _prefill(self) -> tuple[Tensor, Tensor]:
        """Scores of the first new token ``[prompts, vocab]`` and the left-padded attention mask ``[prompts, pos]``."""
        self._done: set[int] = set()
        width = max(len(request.tokens) for request in self.requests)
        ids = torch.full((len(self.requests), width), self.pad, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for row, request in enumerate(self.requests):
            ids[row, width - len(request.tokens) :] = torch.as_tensor(list(request.tokens))
            mask[row, width - len(request.tokens) :] = 1
        mask = mask.to(self.device)
        return self._forward(ids.to(self.device), mask), mask

    def _forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        extra: dict[str, Any] = {}
        if "position_ids" in self.accepts:
            extra["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        if "logits_to_keep" in self.accepts:
            extra["logits_to_keep"] = 1
        output = self.model(
            input_ids=ids, attention_mask=mask, past_key_values=self.cache, use_cache=True, return_dict=True, **extra
        )
        self.cache = output.past_key_values
        return output.logits[:, -1]

    def _reorder(self, owner: Tensor) -> None:
        """Give every sample its prompt's cache."""
        if self.rectangular:
            self.cache.batch_repeat_interleave(len(owner) // len(self.requests))
        else:
            self.cache.batch_select_indices(owner)

    def _draw(self, scores: Tensor, rows: np.ndarray, step: int) -> Tensor:
        """``[rows]`` tokens; at step 0 the scores are one row a prompt."""
        sampling = self.sampling
        if not sampling.do_sample:
            best = scores.argmax(-1)
            return best[torch.as_tensor(self.owner, device=self.device)] if step == 0 else best
        keys = row_keys(sampling.seed, self.prompt_keys[rows], self.samples[rows], step)
        keys = torch.as_tensor(keys, device=scores.device)
        if step == 0 and self.rectangular:
            keys = keys.view(len(scores), -1, 2)
        else:
            keys = keys.unsqueeze(1)
            if step == 0:
                scores = scores[torch.as_tensor(self.owner, device=scores.device)]
        return draw(scores, keys, sampling.top_p, sampling.temperature, sampling.top_k).flatten().to(self.device)


def batches(count: int, size: int) -> Iterator[slice]:
    """Slices that cover ``range(count)``."""
    for start in range(0, count, size):
        yield slice(start, start + size)
