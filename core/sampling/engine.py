"""Generation of K samples of each of many prompts with one prefill a prompt.

Which tokens are drawn depends on the scores, the seed, the prompt and the sample's index alone. In float32 the scores
of a row do not depend on the rows beside it, but for the last bits; in bfloat16 and float16 they do, by rounding, and
where two tokens are nearly as likely another one is drawn (``benchmarks/batch_independence.py``). A model that does not
read a row beside padding as it reads it alone gets prompts of one length in a batch (``padding.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from .batch import Batch, Request, StopRule
from .padding import padded_alike
from .room import Room
from .settings import Sampling
from .thinking import Thinking

__all__ = ["Request", "StopRule", "generate"]


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
    mixed = len({len(requests[piece.request].tokens) for piece in pending}) < 2 or padded_alike(model, pad)
    while pending:
        pending, batch = _next_batch(pending, requests, new, room, mixed)
        outputs = None
        try:
            parts = [
                replace(requests[piece.request], samples=[requests[piece.request].samples[at] for at in piece.places])
                for piece in batch
            ]
            outputs = Batch(model, parts, sampling, eos, pad, should_stop, thinking).run()
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
    pending: list[_Piece], requests: Sequence[Request], new: int, room: Room, mixed: bool
) -> tuple[list[_Piece], list[_Piece]]:
    """What is left, and the longest pending prompts that there is room for together, of one length unless ``mixed``; at
    least one sample of one."""
    longest = len(requests[pending[0].request].tokens)
    most, prompts = room.most(longest, new), room.prompts(longest)
    rows, batch = 0, []
    for piece in pending:
        if rows + len(piece.places) > most or len(batch) == prompts:
            break
        if not mixed and len(requests[piece.request].tokens) != longest:
            break
        rows += len(piece.places)
        batch.append(piece)
    if batch:
        return pending[len(batch) :], batch
    first = pending[0]
    return [_Piece(first.request, first.places[most:]), *pending[1:]], [_Piece(first.request, first.places[:most])]
