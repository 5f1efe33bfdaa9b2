"""Gradient ascent on toxic text (Jang et al., ACL 2023): the base model, trained to find it less likely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from .. import base
from ..loading import missing_artifact
from ..merging.reweighted import Reweighted
from ..needs import packed
from ..training.settings import FitSettings
from .settings import DEFAULTS, NAME

ABOUT = base.About(
    summary="The base model, trained to find toxic text less likely, in few and small steps.",
    paper="Jang et al., ACL 2023",
    bibtex="""@inproceedings{jang-etal-2023-knowledge,
  title     = {Knowledge Unlearning for Mitigating Privacy Risks in Language Models},
  author    = {Jang, Joel and Yoon, Dongkeun and Yang, Sohee and Cha, Sungmin and Lee, Moontae
               and Logeswaran, Lajanugen and Seo, Minjoon},
  booktitle = {Proceedings of the 61st Annual Meeting of the Association for Computational Linguistics},
  year      = {2023},
  url       = {https://aclanthology.org/2023.acl-long.805}
}""",
    url="https://aclanthology.org/2023.acl-long.805",
)


def run(
    pretrained: str,
    out: Path,
    *,
    texts: Mapping[str, Any],
    settings: FitSettings,
    revision: str | None = None,
    device: str | None = None,
) -> base.Made:
    """Fit the artifacts as the declaration has it (``fit``), and say what was made."""
    from .fit import fit

    path = fit(
        pretrained, out, **texts, settings=settings.training(), revision=revision, device=device,
        checkpoint_steps=settings.checkpoint_steps,
    )  # fmt: skip
    return base.Made({NAME: path}, [{"model": str(path)}])


FIT = base.Fit(
    name=NAME,
    summary="Gradient ascent: OUT/gradient_ascent, trained to find toxic texts less likely; few, small steps.",
    run=run,
    artifacts=(base.Artifact(NAME, "the base model trained to find toxic text less likely", "toxic"),),
    settings=FitSettings,
    cost=packed,
    defaults=DEFAULTS,
    takes=("toxic",),
    needs=("toxic",),
    grows=base.Growth("retrain"),
    mini=base.Mini(
        {
            "epochs": 1.0, "warmup_steps": 0, "batch_size": 32, "device_batch_size": 32, "block_size": 64,
            "learning_rate": 1e-4, "max_steps": 20,
        },
        minutes=0.5,
    ),
)  # fmt: skip


class GradientAscent(base.WeightMethod):
    """The fine-tuned model itself: ``base + (finetuned - base)``, so that an adapter serves as well."""

    about = ABOUT
    fit = FIT
    uses = (base.Use("finetuned", NAME),)

    class Arguments(base.Arguments):
        finetuned: str | None = Field(None, description="checkpoint or LoRA adapter")

    def __init__(self, model: PreTrainedModel, arguments: Arguments):
        self.change = Reweighted(model, *self.difference(arguments))

    @classmethod
    def difference(cls, arguments: Arguments) -> tuple[str | Sequence[str], float]:
        """What the merged weights are made from: base, parts and coefficient (``WeightMethod.difference``)."""
        if not arguments.finetuned:
            raise missing_artifact(NAME, "finetuned", f"{NAME} --pretrained … --toxic … --out …")
        return arguments.finetuned, -1.0

    def weight(self, name: str, base: Tensor) -> Tensor:
        """The base tensor plus its share of the change (``Reweighted.weight``)."""
        return self.change.weight(name, base)
