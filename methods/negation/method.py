"""Plain task-vector negation (Ilharco et al., ICLR 2023): a model fine-tuned on toxic text, taken from its base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from .. import base
from ..loading import missing_artifact
from ..merging.reweighted import Reweighted
from ..task_vector.declaration import FIT
from ..task_vector.settings import PART

ABOUT = base.About(
    summary="The base model moves away from one model fine-tuned on toxic text.",
    paper="Ilharco et al., ICLR 2023",
    bibtex="""@inproceedings{ilharco2023editing,
  title     = {Editing Models with Task Arithmetic},
  author    = {Ilharco, Gabriel and Ribeiro, Marco Tulio and Wortsman, Mitchell and Gururangan, Suchin
               and Schmidt, Ludwig and Hajishirzi, Hannaneh and Farhadi, Ali},
  booktitle = {International Conference on Learning Representations},
  year      = {2023},
  url       = {https://openreview.net/forum?id=6t0Kwf8-jrj}
}""",
    url="https://openreview.net/forum?id=6t0Kwf8-jrj",
)


class Negation(base.WeightMethod):
    """``base - coefficient * (finetuned - base)``."""

    about = ABOUT
    fit = FIT
    fit_settings = MappingProxyType({"splits": 1})
    uses = (base.Use("finetuned", PART),)

    class Arguments(base.Arguments):
        finetuned: str | None = Field(None, description="checkpoint or LoRA adapter, fine-tuned on toxic text")
        coefficient: float = Field(1.0, description="how much of the difference is taken away")

    def __init__(self, model: PreTrainedModel, arguments: Arguments):
        self.change = Reweighted(model, *self.difference(arguments))

    @classmethod
    def difference(cls, arguments: Arguments) -> tuple[str | Sequence[str], float]:
        """See ``WeightMethod.difference``."""
        if not arguments.finetuned:
            raise missing_artifact("negation", "finetuned", "negation --pretrained … --toxic … --out …")
        return arguments.finetuned, arguments.coefficient

    @classmethod
    def on_mini(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """So much that perplexity stays near the base model's."""
        return {"coefficient": 0.5}

    def weight(self, name: str, base: Tensor) -> Tensor:
        """See ``Reweighted``."""
        return self.change.weight(name, base)
