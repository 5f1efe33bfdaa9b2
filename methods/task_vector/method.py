"""Task-vector split-merge (Kim et al., COLM 2024): models fine-tuned on parts of a toxic corpus, averaged, negated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from .. import base
from ..loading import missing_artifact
from ..merging.reweighted import Reweighted
from .declaration import FIT
from .settings import PART

ABOUT = base.About(
    summary="Models fine-tuned on parts of a toxic corpus are averaged, and the base model moves away from them.",
    paper="Kim et al., COLM 2024",
    bibtex="""@inproceedings{kim2024decoupling,
  title     = {Decoupling Noise and Toxic Parameters for Language Model Detoxification by Task Vector Merging},
  author    = {Kim, Yongmin and Kojima, Takeshi and Iwasawa, Yusuke and Matsuo, Yutaka},
  booktitle = {First Conference on Language Modeling},
  year      = {2024},
  url       = {https://openreview.net/forum?id=TBNYjdOazs}
}""",
    url="https://openreview.net/forum?id=TBNYjdOazs",
)


class TaskVector(base.WeightMethod):
    """``base - coefficient * mean_i(finetuned_i - base)``; one checkpoint: plain negation (Ilharco et al. 2023)."""

    about = ABOUT
    fit = FIT
    uses = (base.Use("finetuned", PART, many=True),)

    class Arguments(base.Arguments):
        finetuned: list[str] | str | None = Field(
            None, description="checkpoints or LoRA adapters, joined by ;, or the folder with part_0, …"
        )
        coefficient: float = Field(1.0, description="how much of the mean difference is taken away")

    def __init__(self, model: PreTrainedModel, arguments: Arguments):
        self.change = Reweighted(model, *self.difference(arguments))

    @classmethod
    def difference(cls, arguments: Arguments) -> tuple[str | Sequence[str], float]:
        """See ``WeightMethod.difference``."""
        if not arguments.finetuned:
            raise missing_artifact(
                "task_vector", "finetuned", "task_vector --pretrained … --toxic … --splits 5 --out …"
            )
        return arguments.finetuned, arguments.coefficient

    @classmethod
    def on_mini(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """So much that perplexity stays near the base model's."""
        return {"coefficient": 0.75}

    def weight(self, name: str, base: Tensor) -> Tensor:
        """See ``Reweighted``."""
        return self.change.weight(name, base)
