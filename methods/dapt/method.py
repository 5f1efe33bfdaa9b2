"""Domain-adaptive training (Gururangan et al., ACL 2020): the base model, trained on non-toxic text."""

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
    summary="The base model, trained further on non-toxic text.",
    paper="Gururangan et al., ACL 2020",
    bibtex="""@inproceedings{gururangan-etal-2020-dont,
  title     = {Don't Stop Pretraining: Adapt Language Models to Domains and Tasks},
  author    = {Gururangan, Suchin and Marasovi{\\'c}, Ana and Swayamdipta, Swabha and Lo, Kyle and Beltagy, Iz
               and Downey, Doug and Smith, Noah A.},
  booktitle = {Proceedings of the 58th Annual Meeting of the Association for Computational Linguistics},
  year      = {2020},
  url       = {https://aclanthology.org/2020.acl-main.740}
}""",
    url="https://aclanthology.org/2020.acl-main.740",
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
    summary="Domain-adaptive training: OUT/dapt, the base model fine-tuned on non-toxic texts.",
    run=run,
    artifacts=(base.Artifact(NAME, "the base model fine-tuned on non-toxic text", "nontoxic"),),
    settings=FitSettings,
    cost=packed,
    defaults=DEFAULTS,
    takes=("nontoxic",),
    needs=("nontoxic",),
    grows=base.Growth("retrain"),
    mini=base.Mini(
        {
            "epochs": 1.0, "warmup_steps": 0, "batch_size": 32, "device_batch_size": 32, "block_size": 64,
            "learning_rate": 1e-3, "max_steps": 40,
        },
        minutes=1,
    ),
)  # fmt: skip


class DAPT(base.WeightMethod):
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
            raise missing_artifact(NAME, "finetuned", f"{NAME} --pretrained … --nontoxic … --out …")
        return arguments.finetuned, -1.0

    def weight(self, name: str, base: Tensor) -> Tensor:
        """The base tensor plus its share of the change (``Reweighted.weight``)."""
        return self.change.weight(name, base)
