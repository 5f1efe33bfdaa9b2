"""Continuations by transformers' own ``generate``, for settings that it alone knows: beams, penalties.

What goes in and what comes out is the sampler's: the same token ids of a prompt, the same end tokens and stop strings,
and new token ids, whose text is decoded after their prompt. Noise is torch's, so that samples depend on their batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, PreTrainedModel, StoppingCriteria

from ..core.decoding import decode
from ..core.errors import DetoxbenchError
from ..core.sampling import Sampling
from ..core.sampling.distribution import no_distribution, refused
from ..core.sampling.padding import padded_alike
from ..core.sampling.room import Room
from ..core.transformers_private import first_position
from ..methods.lm import DetoxifiedLM
from .responses import Responses

INSTEAD = {
    "num_return_sequences": "samples, in --metadata",
    "max_length": "max_gen_toks",
    "min_length": "min_new_tokens",
    "return_dict_in_generate": "nothing: texts are what is wanted",
    "stop_strings": "until",
}
"""Settings of ``generate`` that would change what is asked for, and what to give in their place."""


@torch.inference_mode()
def continued(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    others: Mapping[str, Any],
    responses: Responses,
    *,
    eos: Sequence[int],
    pad: int,
    batch_tokens: int | None = None,
    on_batch: Callable[[Sequence[int], int], None] = lambda _, __: None,
) -> list[list[int]]:
    """New token ids of each prompt, thoughts included; a prompt may come several times.

    Args:
        model: a causal LM, or a detoxified one.
        prompts: token ids.
        sampling: length, stop strings and warmth.
        others: further settings of ``generate``.
        responses: knows where thoughts end, and stop strings in the text.
        eos: token ids that end a text; they are not part of it.
        pad: to fill up with.
        batch_tokens: as the sampler's.
        on_batch: called with the places of the prompts that are finished, and the number of new tokens.

    Raises:
        DetoxbenchError: for a setting that is not for here, or that transformers refuses; where the model gives no
            distribution to draw from, naming model, prompt and step.
    """
    for name in others:
        if name in INSTEAD:
            raise DetoxbenchError(f"generation setting {name}={others[name]}: give {INSTEAD[name]}")
    # Alike again and again without noise; and the order is that of lengths, so that little is padding.
    keys = [(tuple(prompt), number if sampling.do_sample else 0) for number, prompt in enumerate(prompts)]
    places: dict[tuple[tuple[int, ...], int], list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    left = sorted(places, key=lambda key: -len(key[0]))
    mixed = len({len(tokens) for tokens, _ in left}) < 2 or padded_alike(model, pad)
    fits = Room.of(model, batch_tokens)
    if first_position(model):
        model = DetoxifiedLM(model)  # transformers' own ``generate`` counts its positions from 0
    room = sampling.max_new_tokens + (responses.thinking.max_tokens if responses.thinking else 0)
    beams = others.get("num_beams") or 1
    found: dict[Any, list[int]] = {}
    while left:
        longest = len(left[0][0])
        count = max(1, fits.most(longest, room) // (beams if isinstance(beams, int) else 1))
        batch = [key for key in left[:count] if mixed or len(key[0]) == longest]
        rows = [list(tokens) for tokens, _ in batch]
        outputs = _attempt(model, rows, sampling, others, responses, room, eos, pad, alone=len(batch) == 1)
        if outputs is None:
            torch.cuda.empty_cache()
            fits = replace(fits, tokens=max(1, len(batch) * (longest + room) // 2))
            continue
        found.update(zip(batch, outputs, strict=True))
        left = left[len(batch) :]
        done = [place for key in batch for place in places[key]]
        on_batch(done, sum(map(len, outputs)))
    return [found[key] for key in keys]


def _attempt(
    model: PreTrainedModel,
    rows: Sequence[Sequence[int]],
    sampling: Sampling,
    others: Mapping[str, Any],
    responses: Responses,
    room: int,
    eos: Sequence[int],
    pad: int,
    alone: bool,
) -> list[list[int]] | None:
    """The new tokens of one batch; None where memory ran out."""
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, width - len(row) :] = torch.as_tensor(row)
        mask[place, width - len(row) :] = 1
    warm = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
    settings = {
        "do_sample": sampling.do_sample, **(warm if sampling.do_sample else {}), "max_new_tokens": room,
        "eos_token_id": list(eos), "pad_token_id": pad, "use_cache": True, **others,
    }  # fmt: skip
    given = ", ".join(f"{name}={value}" for name, value in others.items())
    stopped = _Stopped(rows, width, responses)
    drawable = _Drawable(model, rows, width, responses, eos, stopped, given)
    try:
        found = model.generate(
            input_ids=ids.to(model.device), attention_mask=mask.to(model.device),
            stopping_criteria=[stopped] if sampling.stop else [],
            logits_processor=LogitsProcessorList([drawable]), **settings,
        )  # fmt: skip
    except torch.OutOfMemoryError:
        if alone:
            raise
        return None
    except (ValueError, TypeError, ArithmeticError, LookupError) as error:
        if isinstance(error, DetoxbenchError):
            raise
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DetoxbenchError(f"transformers' generate refuses {given}: {first}") from error
    ends = set(eos)
    outputs = []
    for row, tokens in zip(rows, found[:, width:].tolist(), strict=True):
        new = tokens[: next((at for at, token in enumerate(tokens) if token in ends), len(tokens))]
        answer = responses.answer_start(row, new)
        outputs.append(new if answer is None else new[: answer + sampling.max_new_tokens])
    return outputs


class _Stopped(StoppingCriteria):
    """A row ends where a stop string has come up in its answer."""

    def __init__(self, rows: Sequence[Sequence[int]], width: int, responses: Responses):
        self.rows, self.width, self.responses = rows, width, responses
        self.ended: list[bool] = []

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        each = len(input_ids) // len(self.rows)  # beams
        ended = self.ended = []
        for place, tokens in enumerate(input_ids[:, self.width :].tolist()):
            prompt = self.rows[place // each]
            start = self.responses.answer_start(prompt, tokens)
            ended.append(start is not None and self.responses.stops([*prompt, *tokens[:start]], tokens[start:]))
        return torch.tensor(ended, dtype=torch.bool, device=input_ids.device)


class _Drawable(LogitsProcessor):
    """A row of which nothing can be drawn is an error at the step where it comes up: beams would go on with whatever
    sorting makes of NaN, and sampling ends in an error of torch that names nothing."""

    def __init__(
        self,
        model: PreTrainedModel,
        rows: Sequence[Sequence[int]],
        width: int,
        responses: Responses,
        eos: Sequence[int],
        stopped: _Stopped,
        settings: str,
    ):
        self.model, self.rows, self.width, self.responses = model, rows, width, responses
        self.eos, self.stopped, self.settings = set(eos), stopped, settings

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        each = max(1, len(input_ids) // len(self.rows))  # beams
        for at in no_distribution(scores).nonzero().flatten().tolist():
            new = input_ids[at, self.width :].tolist()
            # What comes after the end of a row is thrown away, whatever it is.
            if not self.eos.intersection(new) and not (each == 1 and self.stopped.ended and self.stopped.ended[at]):
                row = self.rows[at // each]
                text = decode(self.responses.tokenizer, row)
                raise refused(self.model, scores[at], len(new), text, row, self.settings)
        return scores
