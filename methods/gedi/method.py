"""GeDi: a class-conditional LM classifies every next token by Bayes' rule (Krause et al., EMNLP Findings 2021)."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from .. import base
from ..guidance.rows import by_rows
from ..loading import beside, missing_artifact, same_vocabulary, spread
from ..needs import FLOAT, Needs, Size, finetuning
from .classes import KIND, ClassModel
from .settings import Settings

ABOUT = base.About(
    summary="A small LM trained with control codes weighs every next token by how likely it makes the text clean.",
    paper="Krause et al., Findings of EMNLP 2021",
    bibtex="""@inproceedings{krause-etal-2021-gedi-generative,
  title     = {{G}e{D}i: Generative Discriminator Guided Sequence Generation},
  author    = {Krause, Ben and Gotmare, Akhilesh Deepak and McCann, Bryan and Keskar, Nitish Shirish and Joty, Shafiq
               and Socher, Richard and Rajani, Nazneen Fatema},
  booktitle = {Findings of the Association for Computational Linguistics: EMNLP 2021},
  year      = {2021},
  url       = {https://aclanthology.org/2021.findings-emnlp.424}
}""",
    licence="authors' code: BSD 3-Clause",
    url="https://aclanthology.org/2021.findings-emnlp.424",
)


def run(
    pretrained: str,
    out: Path,
    *,
    texts: Mapping[str, Any],
    settings: Settings,
    revision: str | None = None,
    device: str | None = None,
) -> base.Made:
    """Fit the artifacts as the declaration has it (``fit``), and say what was made."""
    from .. import artifacts
    from .fit import fit

    path = fit(pretrained, out, **texts, settings=settings, revision=revision, device=device)
    trained = artifacts.read(path)["trained"]
    row = {
        "class model": str(path),
        "texts": f"{trained['rows']:,}",
        "updates": f"{trained['updates']:,}",
        "right on its own texts": f"{trained['accuracy']:.1%}",
    }
    return base.Made({KIND: path}, [row])


def cost(size: Size, texts: Mapping[str, Any], settings: Settings) -> Needs:
    """Of the class model; where it is not the base model, that is held beside."""
    other = settings.class_pretrained and Size.of(settings.class_pretrained)
    found = finetuning(other or size, texts, settings, passes=2)  # after each of the two codes
    return replace(found, memory=found.memory + size.parameters * FLOAT) if other else found


FIT = base.Fit(
    name="gedi",
    summary="A class-conditional LM OUT/class_model, from texts of both sides after their control codes, for GeDi.",
    run=run,
    artifacts=(base.Artifact(KIND, "an LM that reads a text after the code of its class", "both", kind=KIND),),
    settings=Settings,
    cost=cost,
    needs=("toxic", "nontoxic"),
    grows=base.Growth("retrain"),
    mini=base.Mini(
        {"epochs": 1, "max_steps": 80, "learning_rate": 1e-3, "batch_size": 8, "block_size": 32}, minutes=0.7
    ),
)


def guide(z: Tensor, log_desired: Tensor, omega: float, rho: float) -> Tensor:
    """``log p + omega * log P(desired)``, then the filter (eq. 7 and section 3.2).

    A token stays if log P(desired) is at least log(1 - rho), or if it is among the most surely desired ones that hold
    the share rho of the guided distribution together.

    Args:
        z: float32 ``[rows, vocab]`` base scores.
        log_desired: ``[rows, vocab]``, at most 0.
        omega: strength, at least 0; 0 leaves the base model's scores as they are.
        rho: in [0, 1]; 0 and 1 filter nothing.

    Returns:
        float32 ``[rows, vocab]``.
    """
    if omega == 0.0:
        return z
    guided = z.log_softmax(-1) + omega * log_desired
    if not 0.0 < rho < 1.0:
        return guided
    order = _ascending(log_desired)
    held = guided.softmax(-1).gather(1, order).cumsum(-1)
    unsure = log_desired.gather(1, order) < math.log1p(-rho)
    out = unsure & (held < 1.0 - rho)
    # Rounding must not take every token: the most surely desired one is always left.
    out[:, -1] = False
    return guided.masked_fill_(torch.zeros_like(out).scatter_(1, order, out), -torch.inf)


def _ascending(scores: Tensor) -> Tensor:
    """Places of each row's scores in ascending order."""
    if scores.device.type != "cpu":
        return scores.argsort(dim=-1)
    # numpy sorts with vector instructions, several times faster than torch.
    return torch.from_numpy(np.argsort(scores.numpy(), axis=-1))


class GeDi(base.LogitMethod):
    """The sampler's nucleus is cut from the guided distribution, as in the authors' code."""

    about = ABOUT
    fit = FIT
    uses = (base.Use(KIND, KIND),)
    models, forwards = 2, 3

    class Arguments(base.Arguments):
        class_model: str | ClassModel | None = Field(
            None, description="folder made by detoxbench fit gedi, or a loaded one"
        )
        omega: float = Field(30.0, ge=0, description="strength; 0 is the base model")
        rho: float = Field(0.2, ge=0, le=1, description="share of the most surely desired tokens that always stay")

    def __init__(self, model: PreTrainedModel, arguments: Arguments):
        source = arguments.class_model
        if source is None:
            raise missing_artifact("gedi", "class_model=…", "gedi")
        found = source if isinstance(source, ClassModel) else ClassModel.load(source, **beside(model))
        if not spread(model):
            found = found.to(model.device)
        same_vocabulary(model, found, "class model")
        self.omega, self.rho = arguments.omega, arguments.rho
        self.auxiliaries = {} if self.omega == 0.0 else {KIND: base.Auxiliary(found)}

    @classmethod
    def on_mini(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """A class model of so few words is sure of itself: at omega 30 perplexity doubles and other languages come in.
        A later comparison's omega."""
        return {"omega": 5.0}

    @classmethod
    def cuts(cls, arguments: Any) -> bool:
        """Tokens that are least surely desired."""
        return arguments.omega > 0.0 and 0.0 < arguments.rho < 1.0

    def scores(self, base: Tensor, streams: base.Streams, filtering: bool) -> Tensor:
        if self.omega == 0.0:
            return base
        steer = functools.partial(guide, omega=self.omega, rho=self.rho if filtering else 0.0)
        return by_rows(steer, base, streams.outputs[KIND])

    def parts(self, streams: base.Streams, looking: base.Looking) -> base.Parts:
        """P(desired) of each token, which is no distribution."""
        return base.Parts(caps={"P(desired)": streams.outputs[KIND][-1].exp()})
