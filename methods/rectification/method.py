"""Rectification: tokens are capped by their risk of leading to a toxic text (Cao et al., ICLR 2023)."""

from __future__ import annotations

import functools
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from .. import base
from ..guidance.rows import by_rows
from ..loading import beside, missing_artifact, same_vocabulary, spread
from .value_model import ValueModel

P_MIN = 1e-7
"""The smallest cap, so that not every token can be excluded."""


def rectify(z: Tensor, q: Tensor, epsilon: float) -> Tensor:
    """No token keeps more probability than ``1 + Q - epsilon`` (eq. 9), clipped to [1e-7, 1]; capped twice.

    The cap is relative to the scores' own logsumexp, which shrinks as tokens are capped: as published, a second pass
    recomputes it.

    Args:
        z: float32 ``[rows, vocab]`` base scores.
        q: ``[rows, vocab]`` values in about [-1, 0]; -1 is a certainly toxic outcome.
        epsilon: how much certainty is asked for, in [0, 1].

    Returns:
        float32 ``[rows, vocab]``, unnormalised.
    """
    cap = (q.float() + (1.0 - epsilon)).clamp_(P_MIN, 1.0).log_()
    z = torch.minimum(z, cap + z.logsumexp(-1, keepdim=True))
    return torch.minimum(z, cap.add_(z.logsumexp(-1, keepdim=True)))


class Rectification(base.LogitMethod):
    """The value model reads the text beside the base model, with its own cache and position ids."""

    kind: ClassVar[str] = "logit"

    class Arguments(base.Arguments):
        """
        Args:
            value_model: folder made by ``detoxbench fit rectification`` or ``detoxbench import rectification``.
            epsilon: threshold; a larger one caps more.
        """

        value_model: str | ValueModel | None = None
        epsilon: float = Field(0.1, ge=0, le=1)

    def __init__(self, model: PreTrainedModel, arguments: Arguments):
        source = arguments.value_model
        if source is None:
            raise missing_artifact("rectification", "value_model=…", "rectification")
        value_model = source if isinstance(source, ValueModel) else ValueModel.load(source, **beside(model))
        if not spread(model):
            value_model = value_model.to(model.device)
        same_vocabulary(model, value_model, "value model")
        self.epsilon = arguments.epsilon
        self.auxiliaries = {"value_model": base.Auxiliary(value_model)}

    def scores(self, base: Tensor, streams: base.Streams, filtering: bool) -> Tensor:
        return by_rows(functools.partial(rectify, epsilon=self.epsilon), base, streams.outputs["value_model"])
