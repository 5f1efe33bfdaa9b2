"""Task-vector split-merge (Kim et al., COLM 2024): models fine-tuned on parts of a toxic corpus, averaged, negated."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from .. import base
from ..loading import missing_artifact
from ..merging.reweighted import Reweighted


class TaskVector(base.WeightMethod):
    """``base - coefficient * mean_i(finetuned_i - base)``; one checkpoint: plain negation (Ilharco et al. 2023)."""

    kind: ClassVar[str] = "weight"

    class Arguments(base.Arguments):
        finetuned: list[str] | str | None = None
        coefficient: float = Field(1.0)

    def __init__(self, model: PreTrainedModel, arguments: Arguments):
        if not arguments.finetuned:
            raise missing_artifact(
                "task_vector", "finetuned", "task_vector --pretrained … --toxic … --splits 5 --out …"
            )
        self.change = Reweighted(model, arguments.finetuned, arguments.coefficient)

    def weight(self, name: str, base: Tensor) -> Tensor:
        """See ``Reweighted``."""
        return self.change.weight(name, base)
