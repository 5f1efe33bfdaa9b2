"""Gradient ascent on toxic text (Jang et al., ACL 2023): the base model, trained to find it less likely."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from transformers import PreTrainedModel

from .. import base
from ..loading import missing_artifact
from ..merging.reweighted import Reweighted


class GradientAscent(base.WeightMethod):
    """The fine-tuned model itself: ``base + (finetuned - base)``, so that an adapter serves as well."""

    kind: ClassVar[str] = "weight"

    class Arguments(base.Arguments):
        finetuned: str | None = None

    def __init__(self, model: PreTrainedModel, arguments: Arguments):
        if not arguments.finetuned:
            raise missing_artifact("gradient_ascent", "finetuned", "gradient_ascent --pretrained … --toxic … --out …")
        self.change = Reweighted(model, arguments.finetuned, -1.0)

    def weight(self, name: str, base: Tensor) -> Tensor:
        """See ``Reweighted``."""
        return self.change.weight(name, base)
