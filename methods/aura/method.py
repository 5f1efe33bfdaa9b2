"""AurA: neurons that tell toxic from harmless text are damped, the better the more (Suau et al., ICML 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from .. import base
from ..activation import vectors
from ..activation.places import mixture_of, mlp_outputs, out_features, output_axis, written
from ..activation.precision import widened
from ..loading import missing_artifact
from ..needs import reading
from .settings import KIND, NAME, Settings

ABOUT = base.About(
    summary="Neurons of the MLPs that tell toxic from harmless text are damped, the better the more.",
    paper="Suau et al., ICML 2024",
    bibtex="""@inproceedings{suau2024whispering,
  title     = {Whispering Experts: Neural Interventions for Toxicity Mitigation in Language Models},
  author    = {Suau, Xavier and Delobelle, Pieter and Metcalf, Katherine and Joulin, Armand and Apostoloff, Nicholas
               and Zappella, Luca and Rodriguez, Pau},
  booktitle = {Forty-first International Conference on Machine Learning},
  year      = {2024},
  url       = {https://openreview.net/forum?id=2P6GVfSrfZ}
}""",
    url="https://openreview.net/forum?id=2P6GVfSrfZ",
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

    path = fit(pretrained, out, **texts, settings=settings, revision=revision, device=device)
    return base.Made({NAME: path}, [{"vectors": str(path), **summary(path)}])


FIT = base.Fit(
    name=NAME,
    summary="A factor OUT/aura for every neuron of the MLPs, from how well it tells toxic from non-toxic texts.",
    run=run,
    artifacts=(base.Artifact(NAME, "a factor for each output of the MLPs' linear layers", "both", kind=KIND),),
    settings=Settings,
    cost=partial(
        reading, kept=9
    ),  # what gate and upward matrix put out, about four times the width each, and the other
    needs=("toxic", "nontoxic"),
    grows=base.Growth("retrain"),
    mini=base.Mini({"texts": 1500, "block_size": 64}, minutes=0.5),
)


def damped(states: Tensor, factor: Tensor, strength: float) -> Tensor:
    """``(1 - strength) * z + strength * factor * z``.

    Args:
        states: ``[..., dim]``.
        factor: float32 ``[dim]``, of 0 to 1.
        strength: 0 leaves the states, 1 is the paper's.
    """
    return (widened(states) * (1 + strength * (factor - 1))).to(states.dtype)


class AurA(base.ActivationMethod):
    """The factors are weights in the end: rows of the linear layers and their biases, multiplied."""

    about = ABOUT
    fit = FIT
    uses = (base.Use("vectors", NAME),)
    folds = True

    class Arguments(base.Arguments):
        vectors: str | None = Field(None, description="folder made by the fit")
        strength: float = Field(1.0, ge=0, le=1, description="share of the damping; 1 is the paper's, 0 the base model")

    def __init__(self, model: PreTrainedModel, arguments: Arguments):
        if not arguments.vectors:
            raise missing_artifact(NAME, "vectors", f"{NAME} --pretrained … --toxic … --nontoxic … --out …")
        self.model, self.strength = model, arguments.strength
        self.places = mlp_outputs(model)
        tensors = vectors.load(arguments.vectors, KIND)
        wanted = {name: (out_features(model, name),) for name in self.places}
        vectors.of_model(tensors, wanted, arguments.vectors, model)
        self.factors = vectors.Vectors(tensors)

    def states(self, place: str, states: Tensor, beside: Mapping[str, Tensor]) -> Tensor:
        return damped(states, self.factors.on(place, states.device), self.strength)

    def weight(self, name: str, base: Tensor) -> Tensor:
        """Rows and biases of the linear layers; of a mixture, of all that its experts put out."""
        place = name.rpartition(".")[0]
        if place not in self.places:
            place = mixture_of(name, self.places)
            if place is None or not written(self.model, name):
                return base
        factor = self.factors.on(place, base.device)
        axis = output_axis(self.model, name) if base.dim() > 1 and not name.endswith("bias") else base.dim() - 1
        shape = [1] * base.dim()
        shape[axis] = -1
        return damped(base, factor.view(shape), self.strength)
