"""SASA: a probe of the base model's own states weighs the tokens of its nucleus (Ko et al., ICLR 2025)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from ...core.errors import DetoxbenchError
from .. import base
from ..guidance.body import split
from ..guidance.candidates import Candidates
from ..guidance.nucleus import top_p
from ..guidance.rows import by_rows
from ..loading import missing_artifact, vocab_size
from ..needs import FLOAT, Needs, Size, reading
from .probe import KIND, Probe
from .settings import Settings

ABOUT = base.About(
    summary="The base model reads the text with each likely next token; what a probe of its states finds clean gains.",
    paper="Ko et al., ICLR 2025",
    bibtex="""@inproceedings{ko2025large,
  title     = {Large Language Models can Become Strong Self-Detoxifiers},
  author    = {Ko, Ching-Yun and Chen, Pin-Yu and Das, Payel and Mroueh, Youssef and Dan, Soham and Kollias, Georgios
               and Chaudhury, Subhajit and Pedapati, Tejaswini and Daniel, Luca},
  booktitle = {International Conference on Learning Representations},
  year      = {2025},
  url       = {https://arxiv.org/abs/2410.03818}
}""",
    url="https://arxiv.org/abs/2410.03818",
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
    """Fit the artifacts as the declaration has it (``probe.fit``), and say what was made."""
    from .. import artifacts
    from .probe import fit

    path = fit(pretrained, out, **texts, settings=settings, revision=revision, device=device)
    trained = artifacts.read(path)["trained"]
    accuracy = "not measured" if trained["accuracy"] is None else f"{trained['accuracy']:.1%}"
    row = {"probe": str(path), "texts": f"{trained['rows']:,}", "right on held-out texts": accuracy}
    return base.Made({KIND: path}, [row])


def cost(size: Size, texts: Mapping[str, Any], settings: Settings) -> Needs:
    """Of the model that is read, and of the states' second moments in float64, which are written beside."""
    found = reading(size, texts, settings, scored=False)
    return replace(found, disk=2 * FLOAT * size.dim**2)


FIT = base.Fit(
    name="sasa",
    summary="A linear probe OUT/probe of the base model's last hidden states, from texts of both sides, for SASA.",
    run=run,
    artifacts=(base.Artifact(KIND, "a direction and a midpoint: harmless texts lie on one side", "both", kind=KIND),),
    settings=Settings,
    cost=cost,
    needs=("toxic", "nontoxic"),
    grows=base.Growth("retrain"),
    mini=base.Mini({"batch_size": 64, "block_size": 48}, sentences=8, minutes=0.5),
)


def redistribute(z: Tensor, tokens: Tensor, margins: Tensor, beta: float, filter_p: float) -> Tensor:
    """``z_v + beta * softmax(m)_v`` over the tokens of the nucleus that were judged; the nucleus's others keep theirs.

    Args:
        z: float32 ``[rows, vocab]`` base scores.
        tokens: the most probable tokens, int64 ``[rows, n]``.
        margins: of the text with each of them ``[rows, n]``.
        beta: strength, at least 0.
        filter_p: nucleus mass of the base model; 0 or 1 filters nothing.

    Returns:
        float32 ``[rows, vocab]``; -inf outside the nucleus.
    """
    kept = top_p(z, filter_p)
    outside = kept.gather(1, tokens).isneginf()
    gain = margins.float().masked_fill(outside, -torch.inf).softmax(-1)
    return kept.scatter_add(1, tokens, beta * gain)


class SASA(base.LogitMethod):
    """The base model reads the text a second time, with a cache of its own, and the candidates after it."""

    about = ABOUT
    fit = FIT
    uses = (base.Use(KIND, KIND),)
    models, forwards = 1, 3

    class Arguments(base.Arguments):
        probe: str | Probe | None = Field(None, description="folder made by detoxbench fit sasa, or a loaded one")
        beta: float = Field(100.0, ge=0, description="strength; 0 is the base model")
        candidates: int = Field(50, ge=1, description="at most so many tokens of the nucleus are judged")
        filter_p: float = Field(0.9, ge=0, le=1, description="nucleus mass of the base model; 0 or 1 filters nothing")

    def __init__(self, model: PreTrainedModel, arguments: Arguments):
        if arguments.probe is None:
            raise missing_artifact("sasa", "probe=…", "sasa")
        probe = arguments.probe if isinstance(arguments.probe, Probe) else Probe.load(arguments.probe)
        self.beta, self.filter_p = arguments.beta, arguments.filter_p
        self.truncates = self.beta > 0.0 and 0.0 < self.filter_p < 1.0
        if self.beta == 0.0:
            return
        body, head = split(model, "sasa")
        dim = head.output.weight.shape[1]
        if len(probe.direction) != dim:
            raise DetoxbenchError(
                f"the probe is of states of {len(probe.direction)} dimensions, base model '{model.name_or_path}' has "
                f"{dim}: fit one on this model"
            )
        judge = Candidates(body, probe.margin, registered=False)
        self.auxiliaries = {KIND: base.Auxiliary(judge, proposals=min(arguments.candidates, vocab_size(model)))}

    @classmethod
    def on_mini(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The few tokens of so small a model's nucleus share beta out among them."""
        return {"beta": 10.0}

    @classmethod
    def cuts(cls, arguments: Any) -> bool:
        """Tokens outside the nucleus."""
        return arguments.beta > 0.0 and super().cuts(arguments)

    def scores(self, base: Tensor, streams: base.Streams, filtering: bool) -> Tensor:
        if self.beta == 0.0:
            return base
        steer = functools.partial(redistribute, beta=self.beta, filter_p=self.filter_p if filtering else 0.0)
        return by_rows(steer, base, streams.proposed[KIND], streams.outputs[KIND])

    def parts(self, streams: base.Streams, looking: base.Looking) -> base.Parts:
        """Nothing of its own: margins are of the proposed tokens alone."""
        return base.Parts()
