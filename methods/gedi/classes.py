"""A class-conditional LM as a classifier of every next token: read twice, after each class's control code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...core import files
from ...core.errors import DetoxbenchError
from ...core.transformers_private import causal_output
from .. import artifacts
from ..guidance.body import split
from ..guidance.history import RememberingCache
from ..loading import load_model
from ..streams import BASE, Stream, keep_positions

KIND = "class_model"
UNDESIRED = "undesired"
BLOCK = 1 << 25
"""Scores ``[rows, vocab]`` that are made at once."""


def log_desired(desired: Tensor, undesired: Tensor, length: Tensor, scale: float) -> Tensor:
    """``log P(desired | x_1, …, x_t)``, the classes equally likely beforehand (eq. 5).

    Args:
        desired, undesired: sums of log-probabilities of x_1, …, x_t after each control code.
        length: t, the tokens after the code.
        scale: learned with the model.
    """
    return nn.functional.logsigmoid(scale * (desired - undesired) / length)


class ClassModel(nn.Module):
    """Called like a causal LM; its ``logits`` are float32 log P(desired | text, w) of every next token w.

    Sums run over a text's own tokens: not over its control code, and not over padding.

    Args:
        model: a causal LM, of whom both classes are asked.
        desired, undesired: the control codes' token ids.
        scale: of the mean log-probabilities' difference.
    """

    def __init__(self, model: PreTrainedModel, desired: Sequence[int], undesired: Sequence[int], scale: float = 1.0):
        super().__init__()
        if not desired or not undesired or list(desired) == list(undesired):
            raise DetoxbenchError(f"control codes {list(desired)} and {list(undesired)}: two different ones are needed")
        self.model, self.scale = model, scale
        self.codes = {"desired": list(desired), "undesired": list(undesired)}
        body, self.head = split(model, "class model")
        # Not registered again: the model has it.
        self._streams = (Stream(body, desired), Stream(body, undesired))

    @property
    def config(self) -> Any:
        return self.model.config

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def room(self) -> int:
        """Positions of the longer code."""
        return max(map(len, self.codes.values()))

    def new_cache(self) -> RememberingCache:
        """One for each class, and the sums so far."""
        return RememberingCache({BASE: self._streams[0].new_cache(), UNDESIRED: self._streams[1].new_cache()})

    @torch.no_grad()
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        cache: RememberingCache | None = None,
        use_cache: bool = False,
        logits_to_keep: int | Tensor = 0,
        return_dict: bool = True,
    ) -> Any:
        """transformers' ``CausalLMOutputWithPast`` with ``logits`` ``[batch, kept, vocab]``."""
        ids, count = input_ids.to(self.device), input_ids.shape[1]
        past = 0 if cache is None else cache.get_seq_length()
        mask = ids.new_ones(len(ids), past + count) if attention_mask is None else attention_mask.to(ids.device)
        if position_ids is None:
            position_ids = (mask.cumsum(-1) - 1).clamp_(min=0)[:, -count:]
        states, code = self._states(ids, mask, position_ids, cache)
        sums, lengths, normalisers = self._sums(ids, mask, states, code, cache)
        if cache is not None:
            cache.history.add(states=states, normalisers=normalisers, sums=sums, lengths=lengths)
        kept = [keep_positions(tensor, logits_to_keep) for tensor in (states, normalisers, sums, lengths)]
        logits = self._log_desired(*(tensor.flatten(0, 1) for tensor in kept))
        return causal_output(logits.view(*kept[0].shape[:2], -1), cache)

    def _states(
        self, ids: Tensor, mask: Tensor, positions: Tensor, cache: RememberingCache | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Last hidden states of both classes ``[batch, pos, 2, dim]``; and the codes', ``[2, dim]``, with their
        normalisers ``[2]``, which are those of every row."""
        known = None if cache is None else cache.constants.get("code")
        keep: int | Tensor = 0
        if known is None:
            keep = torch.arange(-1, ids.shape[1], device=ids.device)
        found = []
        for name, stream in zip((BASE, UNDESIRED), self._streams, strict=True):
            own = None if cache is None else cache.streams[name]
            found.append(stream.run(ids, mask, positions, own, keep))
        states = torch.stack(found, dim=2)
        if known is not None:
            return states, known
        code = states[0, 0], self.head(states[0, 0]).logsumexp(-1)
        if cache is not None:
            cache.constants["code"] = code
        return states[:, 1:], code

    def _sums(
        self, ids: Tensor, mask: Tensor, states: Tensor, code: tuple[Tensor, Tensor], cache: RememberingCache | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Up to each position: log-probabilities of the real tokens after each code ``[batch, pos, 2]``, their number
        ``[batch, pos]``; and the normalisers ``[batch, pos, 2]`` of the next token's distributions."""
        batch, count = ids.shape
        normalisers = self._normalisers(states)
        real = mask[:, -count:].bool()
        history = None if cache is None or not cache.history.pieces else cache.history
        before = mask[:, :-count].any(1, keepdim=True) if mask.shape[1] > count else real.new_zeros(batch, 1)
        first = real & ((real.long().cumsum(1) == 1) & ~before)
        front = code[0].expand(batch, 1, *code[0].shape), code[1].expand(batch, 1, 2)
        if history is not None:
            front = history.pieces[-1]["states"][:, -1:], history.pieces[-1]["normalisers"][:, -1:]
        earlier = torch.cat([front[0], states[:, :-1]], dim=1)
        total = torch.cat([front[1], normalisers[:, :-1]], dim=1)
        earlier = torch.where(first[:, :, None, None], code[0], earlier)
        total = torch.where(first[:, :, None], code[1], total)
        taken = self.head.of(earlier, ids.unsqueeze(-1).expand(batch, count, 2)) - total
        # Double precision, where there is one: a sum in parts, as a cache makes it, is then the sum at once.
        exact = taken if taken.device.type == "mps" else taken.double()
        sums = exact.masked_fill(~real[:, :, None], 0.0).cumsum(1)
        lengths = real.long().cumsum(1)
        if history is not None:
            sums = sums + history.pieces[-1]["sums"][:, -1:]
            lengths = lengths + history.pieces[-1]["lengths"][:, -1:]
        return sums, lengths, normalisers

    def _normalisers(self, states: Tensor) -> Tensor:
        """``logsumexp`` of each distribution: ``[batch, pos, 2, dim]`` to ``[batch, pos, 2]``."""
        flat = states.flatten(0, 2)
        step = max(1, BLOCK // self.config.get_text_config().vocab_size)
        parts = [self.head(flat[start : start + step]).logsumexp(-1) for start in range(0, len(flat), step)]
        return torch.cat(parts).view(states.shape[:3])

    def _log_desired(self, states: Tensor, normalisers: Tensor, sums: Tensor, lengths: Tensor) -> Tensor:
        """``[rows, vocab]`` from ``[rows, 2, dim]``, ``[rows, 2]``, ``[rows, 2]`` and ``[rows]``."""
        step = max(1, BLOCK // self.config.get_text_config().vocab_size)
        parts = []
        for start in range(0, len(states), step):
            rows = slice(start, start + step)
            offset = (sums[rows] - normalisers[rows]).float()
            desired = self.head(states[rows, 0]).add_(offset[:, :1])
            undesired = self.head(states[rows, 1]).add_(offset[:, 1:])
            parts.append(log_desired(desired, undesired, lengths[rows, None] + 1, self.scale))
        return torch.cat(parts)

    def save(
        self, folder: str | Path, tokenizer: PreTrainedTokenizerBase | None, *, trained: Mapping[str, Any] | None = None
    ) -> None:
        """A plain ``save_pretrained`` folder whose manifest has the codes and the scale; all or nothing."""
        with files.new_folder(Path(folder)) as partial:
            self.model.save_pretrained(partial, safe_serialization=True)
            if tokenizer is not None:
                tokenizer.save_pretrained(partial)
            artifacts.write_manifest(
                partial, KIND, codes=self.codes, scale=float(self.scale), trained=dict(trained or {})
            )

    @classmethod
    def load(cls, folder: str | Path, **options: Any) -> ClassModel:
        """One that ``save`` wrote.

        Raises:
            DetoxbenchError: where a file is missing or corrupted, or the folder holds something else.
        """
        manifest = artifacts.read(folder, KIND)
        model = load_model(str(folder), "class model", **options)
        return cls(model, manifest["codes"]["desired"], manifest["codes"]["undesired"], manifest["scale"])
