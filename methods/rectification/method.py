"""Rectification: tokens are capped by their risk of leading to a toxic text (Cao et al., ICLR 2023)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from ...core import mini
from .. import base
from ..guidance.rows import by_rows
from ..loading import beside, missing_artifact, same_vocabulary, spread
from ..needs import BACKWARD, FLOAT, FORWARD, STATE, Needs, Size, forward
from .imports import IMPORTER
from .settings import FitSettings
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


ABOUT = base.About(
    summary="A value model caps the probability of tokens that lead to a toxic text.",
    paper="Cao et al., ICLR 2023",
    bibtex="""@inproceedings{cao2023systematic,
  title     = {Systematic Rectification of Language Models via Dead-end Analysis},
  author    = {Cao, Meng and Fatemi, Mehdi and Cheung, Jackie Chi Kit and Shabanian, Samira},
  booktitle = {International Conference on Learning Representations},
  year      = {2023},
  url       = {https://openreview.net/forum?id=k8_yVW3Wqln}
}""",
    licence="authors' code: MIT",
    url="https://openreview.net/forum?id=k8_yVW3Wqln",
)
VALUE_MODEL = "value_model"
COUNTS = ("prompt_count", "continuation_count", "unscored", "toxic_continuations", "trajectories")


def run(
    pretrained: str,
    out: Path,
    *,
    texts: Mapping[str, Any],
    settings: FitSettings,
    revision: str | None = None,
    device: str | None = None,
) -> base.Made:
    """Fit the artifacts as the declaration has it (``fit``), and say what was made."""
    from .. import artifacts
    from .fit import fit

    path = fit(
        pretrained, out, **texts, scorer=settings.scorer, settings=settings.chain(), revision=revision, device=device
    )
    trained = artifacts.read(path)["trained"]
    rows = [{"": name.replace("_", " "), "count": f"{trained[name]:,}"} for name in COUNTS]
    rows.append({"": "mean loss of the last epoch", "count": f"{trained['loss']:.4f}"})
    return base.Made({VALUE_MODEL: path}, rows)


def cost(size: Size, texts: Mapping[str, Any], settings: FitSettings) -> Needs:
    """Of body and Q head. The rows of tokens that the texts do not have are not trained, in neither of them; the whole
    head comes up when it is written. What takes time are the continuations, their scores, and the training on the few
    that are chosen."""
    weights, table, head = (
        FLOAT * count for count in (size.parameters, size.vocab * size.dim, 2 * size.dim * size.vocab)
    )
    length = settings.prompt_tokens + settings.max_new_tokens
    kept = size.kept(settings.training.batch_size * length)
    trained = 0 if settings.training.head_only else STATE * max(0, weights - table) + kept
    prompts = min(sum(map(len, texts.values())), settings.prompts or 1 << 60)
    learned = (prompts * 2 * settings.keep + settings.own_continuations) * length * settings.training.epochs
    update = FORWARD if settings.training.head_only else FORWARD + BACKWARD
    generated = forward(size, prompts * (settings.prompt_tokens + settings.samples * settings.max_new_tokens))
    learning = {torch.float32: update * size.body * learned}
    return Needs(
        weights + max(trained, 2 * head), weights + head,
        operations={kind: generated.get(kind, 0.0) + learning.get(kind, 0.0) for kind in {**generated, **learning}},
        beside=f"the time of the scorer '{settings.scorer}'",
    )  # fmt: skip


FIT = base.Fit(
    name="rectification",
    summary="A value model OUT/value_model: prompts from the texts, their continuations, a scorer's rewards, SARSA.",
    run=run,
    artifacts=(base.Artifact(VALUE_MODEL, "a body and a Q head: how toxic a text ends after each token", "both",
                      kind=VALUE_MODEL),),
    settings=FitSettings,
    cost=cost,
    grows=base.Growth("retrain"),
    mini=base.Mini(
        {
            "prompt_share": 1 / 3, "prompts": 3_570, "samples": 6, "keep": 3, "own_continuations": 5_000,
            "max_new_tokens": 16, "epochs": 3, "learning_rate": 5e-4, "lr_scheduler_type": "linear", "batch_size": 128,
            "polyak": 0.5, "trace": 1.0, "head_only": True,
            # Trained on other sentences than the scorer ``mini`` that judges.
            "scorer": "mini:reward",
        },
        # Beginnings of toxic texts alone: few continuations of the others are toxic, and the time is short.
        sides=("toxic",),
        files=(mini.SCORER / "reward.safetensors",),
        minutes=3.3,
    ),
)  # fmt: skip


class Rectification(base.LogitMethod):
    """The value model reads the text beside the base model, with its own cache and position ids."""

    about = ABOUT
    fit = FIT
    uses = (base.Use(VALUE_MODEL, VALUE_MODEL),)
    imports = IMPORTER
    models = forwards = 2

    class Arguments(base.Arguments):
        value_model: str | ValueModel | None = Field(
            None, description="folder made by detoxbench fit or detoxbench import, or a loaded one"
        )
        epsilon: float = Field(0.1, ge=0, le=1, description="threshold; a larger one caps more")

    @classmethod
    def on_mini(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Values learned from so few texts are seldom near -1."""
        return {"epsilon": 0.15}

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

    def parts(self, streams: base.Streams, looking: base.Looking) -> base.Parts:
        """The caps, which are no distribution."""
        q = streams.outputs[VALUE_MODEL][-1].float()
        return base.Parts(caps={"cap": (1.0 + q - self.epsilon).clamp(P_MIN, 1.0)})
