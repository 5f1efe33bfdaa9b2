"""A causal LM in two: a body that gives last hidden states, and a head that can be asked about some tokens alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache

from ...core.errors import DetoxbenchError
from ...core.transformers_private import accepted, cache_argument, causal_output
from ..streams import keep_positions
from ..training.loss import Scores, body_output_and_rest


class Body(nn.Module):
    """Called like a causal LM; its ``logits`` are the last hidden states ``[batch, kept, dim]``.

    Args:
        body: an architecture's model without language-modelling head.
    """

    def __init__(self, body: nn.Module):
        super().__init__()
        self.body = body
        self.accepts = accepted(body)

    @property
    def config(self) -> Any:
        return self.body.config

    @property
    def device(self) -> torch.device:
        return self.body.device  # type: ignore[return-value]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        cache: Cache | None = None,
        use_cache: bool = False,
        logits_to_keep: int | Tensor = 0,
        return_dict: bool = True,
    ) -> Any:
        extra = {"position_ids": position_ids} if "position_ids" in self.accepts else {}
        output = self.body(
            input_ids=input_ids,
            attention_mask=attention_mask,
            use_cache=use_cache,
            return_dict=True,
            **cache_argument(self.accepts, cache),
            **extra,
        )
        return causal_output(keep_positions(output.last_hidden_state, logits_to_keep), cache)


class Head(Scores):
    """A head that can be asked about some tokens alone."""

    def __call__(self, states: Tensor) -> Tensor:
        """``[rows, dim]`` to float32 ``[rows, vocab]``."""
        weight = self.output.weight
        states = states.to(weight.dtype) if weight.is_meta else states.to(weight.device, weight.dtype)
        return self.rest(self.output(states)).float()

    def of(self, states: Tensor, tokens: Tensor) -> Tensor:
        """The score of one token a row: ``[..., dim]`` and ``[...]`` to float32 ``[...]``, without the vocabulary."""
        weight, bias = self.output.weight, getattr(self.output, "bias", None)
        if weight.is_meta:  # offloaded: there only while the layer runs
            return self(states).gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
        tokens = tokens.to(weight.device)
        scores = (states.to(weight.device).float() * weight[tokens].float()).sum(-1)
        if bias is not None:
            scores = scores + bias[tokens].float()
        return self.rest(scores)


def split(model: Any, purpose: str) -> tuple[Body, Head]:
    """Body and head of a causal LM.

    Raises:
        DetoxbenchError: where its scores are no linear function of its last hidden states.
    """
    found = body_output_and_rest(model)
    if found is None:
        kind = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
        raise DetoxbenchError(
            f"{purpose}: the scores of a {kind} model are not made of its last hidden states by one linear layer; "
            "choose another architecture"
        )
    body, output, rest = found
    return Body(body), Head(output, rest)
