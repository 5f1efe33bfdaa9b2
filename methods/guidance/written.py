"""What a judge of whole texts says of some next tokens: the text is decoded with each of them, and judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache

from ...core.decoding import HALF, decode
from ...core.transformers_private import causal_output
from ..streams import BASE, keep_positions
from .history import RememberingCache

Judge = Callable[[Sequence[str]], np.ndarray]
"""Texts to float64 ``[texts]``, NaN where it has no answer."""


class Written(nn.Module):
    """Called like a causal LM, with ``proposed`` tokens; its ``logits`` are the judge's answers, NaN where it has none.

    Args:
        base: the base model, whose tokens they are.
        tokenizer: of the base model.
        judge: of texts.
    """

    def __init__(self, base: PreTrainedModel, tokenizer: Any, judge: Judge):
        super().__init__()
        self._base = (base,)
        self.tokenizer, self.judge = tokenizer, judge

    @property
    def config(self) -> Any:
        return self._base[0].config

    @property
    def device(self) -> torch.device:
        return self._base[0].device

    def new_cache(self) -> RememberingCache:
        """The text so far."""
        return TextCache()

    @torch.no_grad()
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        cache: RememberingCache | None = None,
        use_cache: bool = False,
        logits_to_keep: int | Tensor = 0,
        return_dict: bool = True,
        proposed: Tensor | None = None,
    ) -> Any:
        """transformers' ``CausalLMOutputWithPast`` with float32 ``logits`` ``[batch, kept, n]``."""
        if proposed is None:
            raise TypeError("proposed tokens are needed")
        count = input_ids.shape[1]
        history = TextCache() if cache is None else cache
        history.history.add(ids=input_ids)
        ids = history.history.whole("ids")
        mask = torch.ones_like(ids) if attention_mask is None else attention_mask
        columns = keep_positions(torch.arange(count)[None], logits_to_keep)[0]
        texts: list[str] = []
        for row in range(len(ids)):
            for at, column in enumerate(columns.tolist()):
                end = ids.shape[1] - count + column + 1
                text = ids[row, :end][mask[row, :end].bool().to(ids.device)].tolist()
                texts += [appended(self.tokenizer, text, token) for token in proposed[row, at].tolist()]
        distinct = list(dict.fromkeys(texts))
        answers = dict(zip(distinct, self.judge(distinct).tolist(), strict=True))
        values = torch.tensor([answers[text] for text in texts], dtype=torch.float32)
        return causal_output(values.view(len(ids), len(columns), -1).to(self.device), cache)


class TextCache(RememberingCache):
    """No keys and values, only the tokens."""

    def __init__(self) -> None:
        super().__init__({BASE: DynamicCache()})

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return sum(piece["ids"].shape[1] for piece in self.history.pieces)


def appended(tokenizer: Any, text: Sequence[int], token: int) -> str:
    """The text with one more token. Where that ends in half a character, without the half: it would be judged as a
    broken text, and what it becomes nobody knows yet."""
    return decode(tokenizer, [*text, token]).rstrip(HALF)
