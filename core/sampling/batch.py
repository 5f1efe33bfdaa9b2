"""One batch of the sampler: rows are the samples of all its prompts, which share one prefill a prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..transformers_private import accepted, cache_argument, cache_of, first_position, is_recurrent, keeps_cache
from .cache import new_cache
from .distribution import no_distribution, refused
from .noise import row_keys
from .nucleus import draw

COMPACT_BELOW = 0.75
"""Finished sequences leave the batch once the others are fewer than this share of it; leaving copies the cache."""


@dataclass(frozen=True)
class Request:
    """Samples wanted of one prompt.

    Args:
        tokens: the encoded prompt, at least one token.
        key: ``noise.prompt_key`` of its text.
        samples: the index of each sample wanted.
        text: of the prompt, for messages.
    """

    tokens: Sequence[int]
    key: int
    samples: Sequence[int]
    text: str = ""


StopRule = Callable[[Sequence[int], Sequence[int]], bool]
"""Of a prompt's tokens and the new ones; True ends the sequence."""


class Batch:
    """State of the generation of one batch: rows are the samples of all its prompts, finished rows leave."""

    def __init__(self, model, requests, sampling, eos, pad, should_stop, thinking):
        self.model, self.requests, self.sampling = model, requests, sampling
        self.eos, self.pad, self.should_stop, self.thinking = set(eos), pad, should_stop, thinking
        self.device = model.device
        counts = [len(request.samples) for request in requests]
        self.rectangular = len(set(counts)) == 1
        self.owner = np.repeat(np.arange(len(requests)), counts)
        self.prompt_keys = np.array([request.key for request in requests], dtype=np.uint64)[self.owner]
        self.samples = np.concatenate([np.asarray(request.samples, dtype=np.int64) for request in requests])
        self.new: list[list[int]] = [[] for _ in self.owner]
        self.answers: list[int | None] = [None if thinking else 0 for _ in self.owner]
        """Where each row's answer begins; None while it thinks."""
        self.most = sampling.max_new_tokens + (thinking.max_tokens if thinking else 0)
        self.accepts, self.first = accepted(model), first_position(model)
        self.cache = None
        self.padded = len({len(request.tokens) for request in requests}) > 1
        self.recurrent = False
        self.read: Tensor | None = None
        """``[rows, pos]`` all tokens so far, for a model without a cache: it reads them anew at each step."""
        if keeps_cache(model):
            self.cache = model.new_cache() if hasattr(model, "new_cache") else new_cache(model.config)
            self.recurrent = any(map(is_recurrent, self.cache.layers))

    def run(self) -> list[list[list[int]]]:
        """New token ids of each sample of each request."""
        rows = np.arange(len(self.owner))
        scores, mask = self.prefill()
        for step in range(self.most):
            tokens = self._draw(scores, rows, step)
            going = np.array(
                [self._append(row, token) for row, token in zip(rows.tolist(), tokens.tolist(), strict=True)]
            )
            if step == self.most - 1 or not going.any():
                break
            if step == 0:
                owner = torch.as_tensor(self.owner, device=self.device)
                self._reorder(owner)
                mask = mask[owner]
            alive = self._alive(going, rows)
            if len(alive) < COMPACT_BELOW * len(rows):
                index = torch.as_tensor(alive, device=self.device)
                self._select(index)
                mask, tokens, rows = mask[index], tokens[index], rows[alive]
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
            scores = self.forward(tokens.unsqueeze(1), mask)
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
        new, prompt = self.new[row], self.requests[self.owner[row]].tokens
        new.append(token)
        start = self.answers[row]
        if start is None:
            assert self.thinking is not None
            if self.thinking.ends(prompt, new):
                self.answers[row] = len(new)
                return True
            return len(new) < self.thinking.max_tokens
        if len(new) - start == self.sampling.max_new_tokens:
            return False
        return not (self.should_stop and self.should_stop([*prompt, *new[:start]] if start else prompt, new[start:]))

    def prefill(self) -> tuple[Tensor, Tensor]:
        """Scores of the first new token ``[prompts, vocab]`` and the left-padded attention mask ``[prompts, pos]``."""
        self._done: set[int] = set()
        width = max(len(request.tokens) for request in self.requests)
        ids = torch.full((len(self.requests), width), self.pad, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for row, request in enumerate(self.requests):
            ids[row, width - len(request.tokens) :] = torch.as_tensor(list(request.tokens))
            mask[row, width - len(request.tokens) :] = 1
        mask = mask.to(self.device)
        return self.forward(ids.to(self.device), mask), mask

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Scores ``[rows, vocab]`` after the last of some more tokens ``[rows, pos]``; the mask covers all."""
        extra: dict[str, Any] = {}
        if self.cache is None:
            ids = self.read = ids if self.read is None else torch.cat([self.read, ids], dim=1)
            extra = {"use_cache": False}
        else:
            extra = {"use_cache": True, **cache_argument(self.accepts, self.cache)}
        if "position_ids" in self.accepts:
            extra["position_ids"] = self.first + (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        if "logits_to_keep" in self.accepts:
            extra["logits_to_keep"] = 1
        # At a single new token recurrent layers would take a mask of all tokens for one of more tokens.
        given = None if not self.padded and (self.cache is None or self.recurrent) else mask
        output = self.model(input_ids=ids, attention_mask=given, return_dict=True, **extra)
        if self.cache is not None:
            self.cache = cache_of(output)
            if self.cache is None:
                self.read = ids
        return output.logits[:, -1]

    def _reorder(self, owner: Tensor) -> None:
        """Give every sample its prompt's cache."""
        if self.rectangular and self.cache is not None:
            self.cache.batch_repeat_interleave(len(owner) // len(self.requests))
        else:
            self._select(owner)

    def _select(self, rows: Tensor) -> None:
        if self.cache is not None:
            self.cache.batch_select_indices(rows)
        else:
            assert self.read is not None
            self.read = self.read[rows]

    def _draw(self, scores: Tensor, rows: np.ndarray, step: int) -> Tensor:
        """``[rows]`` tokens; at step 0 the scores are one row a prompt."""
        sampling = self.sampling
        if bool((wrong := no_distribution(scores)).any()):
            self._refuse(scores, int(wrong.nonzero()[0]), rows, step)
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

    def _refuse(self, scores: Tensor, at: int, rows: np.ndarray, step: int) -> None:
        request = self.requests[at if step == 0 else self.owner[rows[at]]]
        raise refused(self.model, scores[at], step, request.text, request.tokens)
