"""Domain-adaptive training (Gururangan et al., ACL 2020): the base model, trained on non-toxic text."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from transformers import PreTrainedModel

from .. import base
from ..loading import missing_artifact
from ..merging.reweighted import Reweighted


class DAPT(base.WeightMethod):
    """The fine-tuned model itself: ``base + (finetuned - base)``, so that an adapter serves as well."""

    kind: ClassVar[str] = "weight"

    class Arguments(base.Arguments):
        finetuned: str | None = None

    def __init__(self, model: PreTrainedModel, arguments: Arguments):
        if not arguments.finetuned:
            raise missing_artifact("dapt", "finetuned", "dapt --pretrained … --nontoxic … --out …")
        self.change = Reweighted(model, arguments.finetuned, -1.0)

    def weight(self, name: str, base: Tensor) -> Tensor:
        """See ``Reweighted``."""
        return self.change.weight(name, base)
