"""Generation of K samples of each of many prompts with one prefill a prompt.

Which tokens are drawn depends on the scores, the seed, the prompt and the sample's index alone. In float32 the scores
of a row do not depend on the rows beside it, but for the last bits; in bfloat16 and float16 they do, by rounding, and
where two tokens are nearly as likely another one is drawn (``benchmarks/batch_independence.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import DetoxbenchError
from ..transformers_private import accepted, cache_argument, cache_of
from .cache import new_cache
from .noise import row_keys
from .nucleus import draw, no_distribution
from .room import Room
from .settings import Sampling
from .thinking import Thinking

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


@torch.inference_mode()
def generate(
    model: Any,
    requests: Sequence[Request],
    sampling: Sampling,
    *,
    eos: Sequence[int],
    pad: int = 0,
    batch_tokens: int | None = None,
    should_stop: StopRule | None = None,
    thinking: Thinking | None = None,
    on_batch: Callable[[int, int], None] | None = None,
    on_whole: Callable[[Mapping[int, list[list[int]]]], None] | None = None,
) -> list[list[list[int]]]:
    """Continue every prompt.

    Args:
        model: a causal LM of transformers' interface, or a detoxified one.
        requests: prompts; their order has no influence on any text.
        sampling: how; its stop strings are ``should_stop``'s.
        eos: token ids that end a sequence; they are not part of the result.
        pad: token id to fill up with.
        batch_tokens: bound on sequences x positions of a batch; by default by device. It is lowered where caches or
            scores would take more bytes than ``room`` allows, and halved where memory is short all the same. A prompt
            whose samples go beyond it is read several times, each time for some of its samples.
        should_stop: called with the prompt's tokens and those of the answer after each step (stop strings).
        thinking: how long a model may think before its answer; the length of ``sampling`` is the answer's.
        on_batch: called with (requests finished, tokens generated) after each batch.
        on_whole: called before that with what is returned of each request that the batch has finished, by its place
            in ``requests``. The requests that are left make the same batches when they are given alone, unless memory
            ran short.

    Returns:
        For each request, for each of its samples, the new token ids, thoughts included.

    Raises:
        DetoxbenchError: where the model gives no distribution to draw from, naming model, prompt and step.
        torch.OutOfMemoryError: where memory does not suffice for one sample of one prompt.
    """
    device = model.device
    room = Room.of(model, batch_tokens)
    results: list[dict[int, list[int]]] = [{} for _ in requests]
    pending = sorted(
        (_Piece(i, range(len(request.samples))) for i, request in enumerate(requests) if len(request.samples)),
        key=lambda piece: -len(requests[piece.request].tokens),
    )
    new = sampling.max_new_tokens + (thinking.max_tokens if thinking else 0)
    while pending:
        pending, batch = _next_batch(pending, requests, new, room)
        outputs = None
        try:
            parts = [
                replace(requests[piece.request], samples=[requests[piece.request].samples[at] for at in piece.places])
                for piece in batch
            ]
            outputs = _Batch(model, parts, sampling, eos, pad, should_stop, thinking).run()
        except torch.OutOfMemoryError:
            if len(batch) == 1 and len(batch[0].places) == 1:
                raise
        if outputs is None:
            # Not within ``except``: the exception's traceback holds the batch's tensors until its end.
            if device.type == "cuda":
                torch.cuda.empty_cache()
            rows = sum(len(piece.places) for piece in batch)
            room = replace(room, tokens=max(1, rows * (len(requests[batch[0].request].tokens) + new) // 2))
            pending = batch + pending
            continue
        for piece, output in zip(batch, outputs, strict=True):
            results[piece.request].update(zip(piece.places, output, strict=True))
        touched = {piece.request for piece in batch}
        whole = [place for place in touched if len(results[place]) == len(requests[place].samples)]
        if on_whole:
            on_whole({place: _in_order(results[place]) for place in whole})
        if on_batch:
            on_batch(len(whole), sum(len(tokens) for output in outputs for tokens in output))
    return [_in_order(found) for found in results]


def _in_order(found: Mapping[int, list[int]]) -> list[list[int]]:
    return [found[at] for at in range(len(found))]


@dataclass(frozen=True)
class _Piece:
    """Some of a request's samples, by their places in ``Request.samples``."""

    request: int
    places: range


def _next_batch(
    pending: list[_Piece], requests: Sequence[Request], new: int, room: Room
) -> tuple[list[_Piece], list[_Piece]]:
    """What is left, and the longest pending prompts that there is room for together; at least one sample of one."""
    length = len(requests[pending[0].request].tokens)
    most, prompts = room.most(length, new), room.prompts(length)
    rows, batch = 0, []
    for piece in pending:
        if rows + len(piece.places) > most or len(batch) == prompts:
            break
        rows += len(piece.places)
        batch.append(piece)
    if batch:
        return pending[len(batch) :], batch
    first = pending[0]
    return [_Piece(first.request, first.places[most:]), *pending[1:]], [_Piece(first.request, first.places[:most])]


class _Batch:
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
        self.accepts = accepted(model)
        self.cache = model.new_cache() if hasattr(model, "new_cache") else new_cache(model.config)

    def run(self) -> list[list[list[int]]]:
        rows = np.arange(len(self.owner))
        scores, mask = self._prefill()
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
            input_ids=ids, attention_mask=mask, use_cache=True, return_dict=True,
            **cache_argument(self.accepts, self.cache), **extra,
        )  # fmt: skip
        self.cache = cache_of(output)
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
        what = "NaN" if scores[at].isnan().any() else "an infinite score" if (scores[at] > 0).any() else "no token"
        shown = repr(request.text[:40]) if request.text else f"of tokens {list(request.tokens[:8])}"
        name = getattr(getattr(self.model, "config", None), "name_or_path", "") or type(self.model).__name__
        raise DetoxbenchError(
            f"model '{name}' gives no distribution to draw from ({what}) at new token {step + 1} of the prompt "
            f"{shown}: its weights or artifacts may be damaged, or its precision too low (dtype=float32)"
        )
