"""DeStein: attention outputs are turned away from the direction of toxic text, head by head (Li et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from .. import base
from ..activation import vectors
from ..activation.heads import divided, norm, split
from ..activation.places import attention_outputs, heads, out_features
from ..activation.precision import widened
from ..loading import missing_artifact
from ..needs import reading
from .settings import KIND, NAME, Settings

ABOUT = base.About(
    summary="Attention outputs are turned away from the direction that toxic text has, in the heads that know it best.",
    paper="Li et al., 2024",
    bibtex="""@misc{li2024destein,
  title         = {{DESTEIN}: Navigating Detoxification of Language Models via Universal Steering Pairs and Head-wise
                   Activation Fusion},
  author        = {Li, Yu and Jiang, Han and Gong, Chuanyang and Wei, Zhihua},
  year          = {2024},
  eprint        = {2404.10464},
  archivePrefix = {arXiv},
  url           = {https://arxiv.org/abs/2404.10464}
}""",
    url="https://arxiv.org/abs/2404.10464",
)
Scale = Literal["joined", "slice"]


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
    from .fit import fit, summary

    path = fit(pretrained, out, texts=texts, settings=settings, revision=revision, device=device)
    return base.Made({NAME: path}, [{"vectors": str(path), **summary(path)}])


FIT = base.Fit(
    name=NAME,
    summary="Directions OUT/destein of the attention heads, from pairs of toxic and harmless texts.",
    run=run,
    artifacts=(
        base.Artifact(
            NAME, "a direction of each attention head, and how well it tells the sides apart", "both", kind=KIND
        ),
    ),
    settings=Settings,
    cost=partial(reading, kept=1),
    needs=("toxic", "nontoxic"),
    pairs=True,
    grows=base.Growth("retrain"),
    mini=base.Mini({"count": 200, "block_size": 64}, minutes=0.15),
)


def turned(x: Tensor, direction: Tensor, chosen: Tensor, alpha: float, scale: Scale = "joined") -> Tensor:
    """``normalize(x_h/|x_h| - alpha (1 + max(0, cos(x_h, v_h))) v_h/|v_h|)`` of each chosen slice.

    Args:
        x: ``[..., heads, dim]``.
        direction: ``[heads, dim]``.
        chosen: bool ``[heads]``; the other slices keep their direction.
        alpha: strength; 0 leaves ``x``.
        scale: ``joined``: every slice becomes as long as the others, and all together as long as ``x`` was, as in the
            authors' code; ``slice``: each keeps its own length.

    Returns:
        The shape of ``x``.
    """
    if alpha == 0:
        return x
    wide = widened(x)
    unit, v = wide / norm(wide), direction.to(wide.dtype)
    v = v / norm(v)
    cosine = (unit * v).sum(-1, keepdim=True)
    new = unit - alpha * (1 + cosine.relu()) * v
    new = torch.where(chosen.unsqueeze(-1), new / norm(new), unit)
    if scale == "slice":
        return torch.where(chosen.unsqueeze(-1), new * wide.norm(dim=-1, keepdim=True), wide).to(x.dtype)
    return (new * (wide.norm(dim=(-2, -1), keepdim=True) / norm(new, (-2, -1)))).to(x.dtype)


class DeStein(base.ActivationMethod):
    """Slices of the attention's output after its projection, as many as there are heads."""

    about = ABOUT
    fit = FIT
    uses = (base.Use("vectors", NAME),)

    class Arguments(base.Arguments):
        vectors: str | None = Field(None, description="folder made by the fit")
        alpha: float = Field(0.4, ge=0, description="strength; 0 is the base model")
        share: float = Field(0.5, gt=0, le=1, description="of the heads: those whose probes were best")
        scale: Scale = Field("joined", description="length of the slices: all alike as in the authors' code, or kept")

    def __init__(self, model: PreTrainedModel, arguments: Arguments):
        if not arguments.vectors:
            raise missing_artifact(NAME, "vectors", f"{NAME} --pretrained … --pairs … --out …")
        self.arguments = arguments
        self.places = attention_outputs(model)
        self.heads = heads(model)
        found = vectors.load(arguments.vectors, KIND)
        wanted: dict[str, tuple[int, ...]] = {}
        for name in self.places:
            dim = divided(out_features(model, name), self.heads, f"the output of {name}")
            wanted |= {f"{name}.direction": (self.heads, dim), f"{name}.rank": (self.heads,)}
        vectors.of_model(found, wanted, arguments.vectors, model)
        best = max(1, round(arguments.share * self.heads * len(self.places)))
        chosen = {f"{name}.chosen": found[f"{name}.rank"] < best for name in self.places}
        self.vectors = vectors.Vectors(
            {**{f"{name}.direction": found[f"{name}.direction"] for name in self.places}, **chosen}
        )

    def states(self, place: str, states: Tensor, beside: Mapping[str, Tensor]) -> Tensor:
        """The method\'s formula at one place (``turned``)."""
        direction = self.vectors.on(f"{place}.direction", states.device)
        chosen = self.vectors.on(f"{place}.chosen", states.device)
        return turned(split(states, self.heads), direction, chosen, self.arguments.alpha, self.arguments.scale).flatten(
            -2
        )
