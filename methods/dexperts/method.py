"""DExperts: a base model steered by an expert and an anti-expert (Liu et al., ACL 2021)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from .. import base
from ..guidance.nucleus import nucleus
from ..guidance.rows import by_rows
from ..loading import load_beside, missing_artifact
from ..needs import each_side
from .imports import IMPORTER
from .settings import Settings

ABOUT = base.About(
    summary="A model trained on non-toxic text pulls, one trained on toxic text pushes, at every token.",
    paper="Liu et al., ACL 2021",
    bibtex="""@inproceedings{liu-etal-2021-dexperts,
  title     = {{DE}xperts: Decoding-Time Controlled Text Generation with Experts and Anti-Experts},
  author    = {Liu, Alisa and Sap, Maarten and Lu, Ximing and Swayamdipta, Swabha and Bhagavatula, Chandra
               and Smith, Noah A. and Choi, Yejin},
  booktitle = {Proceedings of the 59th Annual Meeting of the Association for Computational Linguistics},
  year      = {2021},
  url       = {https://aclanthology.org/2021.acl-long.522}
}""",
    url="https://aclanthology.org/2021.acl-long.522",
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

    made = fit(pretrained, out, **texts, settings=settings, revision=revision, device=device)
    rows = [{"model": str(path), "rows": f"{artifacts.read(path)['trained']['rows']:,}"} for path in made.values()]
    return base.Made(made, rows)


FIT = base.Fit(
    name="dexperts",
    summary="Fine-tuned models OUT/expert (non-toxic texts) and OUT/antiexpert (toxic texts), for DExperts.",
    run=run,
    artifacts=(
        base.Artifact("expert", "the base model fine-tuned on non-toxic text", "nontoxic"),
        base.Artifact("antiexpert", "the base model fine-tuned on toxic text", "toxic"),
    ),
    settings=Settings,
    cost=each_side,
    grows=base.Growth("retrain"),
    mini=base.Mini(
        {
            "epochs": 1.0, "max_steps": 60, "learning_rate": 1e-3, "batch_size": 32, "device_batch_size": 32,
            "block_size": 64, "seed": 0,
        },
        minutes=1.5,
    ),
)  # fmt: skip


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

    about = ABOUT
    fit = FIT
    uses = (base.Use("expert", "expert"), base.Use("antiexpert", "antiexpert"))
    imports = IMPORTER
    models = forwards = 3

    class Arguments(base.Arguments):
        expert: str | PreTrainedModel | None = Field(
            None, description="folder, hub name or loaded model, trained on non-toxic text"
        )
        antiexpert: str | PreTrainedModel | None = Field(None, description="the same, trained on toxic text")
        alpha: float = Field(2.0, ge=0, description="strength")
        filter_p: float = Field(0.9, ge=0, le=1, description="nucleus mass of the base model; 0 or 1 filters nothing")

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
