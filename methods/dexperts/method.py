"""DExperts: a base model steered by an expert and an anti-expert (Liu et al., ACL 2021)."""

from __future__ import annotations

import functools
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from .. import base
from ..guidance.nucleus import nucleus
from ..guidance.rows import by_rows
from ..loading import load_beside, missing_artifact


def ensemble(z: Tensor, expert: Tensor | None, antiexpert: Tensor | None, alpha: float, filter_p: float) -> Tensor:
    """``top_p(z, filter_p) + alpha * (expert - antiexpert)`` (eq. 1); unfiltered z stands in for a missing one.

    Args:
        z: float32 ``[rows, vocab]`` base scores.
        expert: ``[rows, vocab]``.
        antiexpert: ``[rows, vocab]``.
        alpha: strength, at least 0.
        filter_p: nucleus mass of the base model; 0 or 1 filters nothing.

    Returns:
        float32 ``[rows, vocab]``.
    """
    kept = nucleus(z, filter_p)
    steer = kept.of(z if expert is None else expert) - kept.of(z if antiexpert is None else antiexpert)
    steered = kept.scores + steer.mul_(alpha)
    # A token that the base model rules out stays so: -inf minus -inf is no number.
    return kept.spread(steered.masked_fill_(kept.scores.isneginf(), -torch.inf))


class DExperts(base.LogitMethod):
    """One of the two models may be left out."""

    kind: ClassVar[str] = "logit"

    class Arguments(base.Arguments):
        """
        Args:
            expert: folder, hub name or loaded model, trained on non-toxic text.
            antiexpert: trained on toxic text.
        """

        expert: str | PreTrainedModel | None = None
        antiexpert: str | PreTrainedModel | None = None
        alpha: float = Field(2.0, ge=0)
        filter_p: float = Field(0.9, ge=0, le=1)

    def __init__(self, model: PreTrainedModel, arguments: Arguments):
        given = {"expert": arguments.expert, "antiexpert": arguments.antiexpert}
        if not any(given.values()):
            raise missing_artifact("dexperts", "expert=… or antiexpert=… or both", "dexperts")
        self.alpha, self.filter_p = arguments.alpha, arguments.filter_p
        self.truncates = 0 < arguments.filter_p < 1
        self.auxiliaries = {
            name: base.Auxiliary(load_beside(source, model, name)) for name, source in given.items() if source
        }

    def scores(self, base: Tensor, streams: base.Streams, filtering: bool) -> Tensor:
        outputs = streams.outputs
        steer = functools.partial(ensemble, alpha=self.alpha, filter_p=self.filter_p if filtering else 0.0)
        return by_rows(steer, base, outputs.get("expert"), outputs.get("antiexpert"))
