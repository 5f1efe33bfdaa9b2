"""ProFS: a toxic subspace is projected out of what the MLPs write (Uppaal et al., ICLR 2025)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from ...core.errors import DetoxbenchError
from .. import base
from ..activation import vectors
from ..activation.places import block_outputs, width, written_by
from ..activation.precision import widened
from ..loading import missing_artifact
from ..needs import reading
from .settings import KIND, NAME, Settings

ABOUT = base.About(
    summary="The directions in which toxic and harmless texts differ are projected out of what the MLPs write.",
    paper="Uppaal et al., ICLR 2025",
    bibtex="""@inproceedings{uppaal2025model,
  title     = {Model Editing as a Robust and Denoised Variant of {DPO}: A Case Study on Toxicity},
  author    = {Uppaal, Rheeya and Dey, Apratim and He, Yiting and Zhong, Yiqiao and Hu, Junjie},
  booktitle = {The Thirteenth International Conference on Learning Representations},
  year      = {2025},
  url       = {https://arxiv.org/abs/2405.13967}
}""",
    url="https://arxiv.org/abs/2405.13967",
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
    from .fit import fit, summary

    path = fit(pretrained, out, texts=texts, settings=settings, revision=revision, device=device)
    return base.Made({NAME: path}, [{"vectors": str(path), **summary(path)}])


FIT = base.Fit(
    name=NAME,
    summary="Directions OUT/profs of every block in which toxic and harmless texts differ, from pairs of them.",
    run=run,
    artifacts=(
        base.Artifact(NAME, "directions of each block in which toxic and harmless texts differ", "both", kind=KIND),
    ),
    settings=Settings,
    cost=partial(reading, kept=1),
    needs=("toxic", "nontoxic"),
    pairs=True,
    grows=base.Growth("retrain"),
    mini=base.Mini({"count": 400, "block_size": 64}, minutes=0.15),
)


def projected(weight: Tensor, directions: Tensor, axis: int, strength: float) -> Tensor:
    """``W (I - strength * V V^T)`` along the axis that counts outputs: nothing is written in those directions.

    Args:
        weight: a matrix, or a mixture's stacked ones.
        directions: float32 ``[rank, dim]``, orthonormal.
        axis: of ``weight`` with ``dim`` entries.
        strength: 0 leaves the weight, 1 is the paper's.
    """
    outputs = widened(weight).movedim(axis, -1)
    removed = outputs @ directions.T.to(outputs.dtype) @ directions.to(outputs.dtype)
    return (weight - strength * removed.movedim(-1, axis)).to(weight.dtype)


class ProFS(base.WeightMethod):
    """Of a mixture the output matrix of every expert is edited alike; biases stay."""

    about = ABOUT
    fit = FIT
    uses = (base.Use("vectors", NAME),)

    class Arguments(base.Arguments):
        vectors: str | None = Field(None, description="folder made by the fit")
        rank: int = Field(2, ge=1, description="directions of a block that are projected out")
        first_block: int | None = Field(
            None, ge=1, description="the first block that is edited, counted from 1; default: of the upper half"
        )
        strength: float = Field(1.0, ge=0, le=1, description="share of the projection; 1 is the paper's")

    def __init__(self, model: PreTrainedModel, arguments: Arguments):
        if not arguments.vectors:
            raise missing_artifact(NAME, "vectors", f"{NAME} --pretrained … --pairs … --out …")
        self.strength = arguments.strength
        found = vectors.load(arguments.vectors, KIND)
        blocks = list(block_outputs(model))
        stored = min((len(one) for one in found.values()), default=0)
        if arguments.rank > stored:
            raise DetoxbenchError(
                f"rank={arguments.rank}: '{arguments.vectors}' holds {stored} directions of each block; refit with more"
            )
        vectors.of_model(found, {name: (stored, width(model)) for name in blocks}, arguments.vectors, model)
        first = arguments.first_block if arguments.first_block is not None else len(blocks) // 2 + 1
        if first > len(blocks):
            raise DetoxbenchError(f"first_block={first}: the model has {len(blocks)} blocks")
        self.edited = {
            name: (found[blocks[index]][: arguments.rank], axis)
            for index in range(first - 1, len(blocks))
            for name, axis in written_by(model, index).items()
        }

    def weight(self, name: str, base: Tensor) -> Tensor:
        """The method\'s formula at one place (``projected``)."""
        if name not in self.edited:
            return base
        directions, axis = self.edited[name]
        return projected(base, directions.to(base.device), axis, self.strength)
