"""Plain task-vector negation (Ilharco et al., ICLR 2023): a model fine-tuned on toxic text, taken from its base."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from .. import base
from ..loading import missing_artifact
from ..merging.reweighted import Reweighted


class Negation(base.WeightMethod):
    """``base - coefficient * (finetuned - base)``."""

    kind: ClassVar[str] = "weight"

    class Arguments(base.Arguments):
        finetuned: str | None = None
        coefficient: float = Field(1.0)

    def __init__(self, model: PreTrainedModel, arguments: Arguments):
        if not arguments.finetuned:
            raise missing_artifact("negation", "finetuned", "task_vector --pretrained … --toxic … --splits 1 --out …")
        self.change = Reweighted(model, arguments.finetuned, arguments.coefficient)

    def weight(self, name: str, base: Tensor) -> Tensor:
        """See ``Reweighted``."""
        return self.change.weight(name, base)
