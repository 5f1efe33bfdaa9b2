"""DPO: the base model, tuned to prefer harmless over toxic continuations (Lee et al. 2024; Li et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from .. import base
from ..loading import missing_artifact
from ..merging.reweighted import Reweighted
from ..needs import finetuning
from .settings import NAME, Settings

ABOUT = base.About(
    summary="The base model, tuned on pairs to prefer the harmless continuation to the toxic one.",
    paper="Li et al., Findings of EMNLP 2024; Lee et al., ICML 2024; Rafailov et al., NeurIPS 2023",
    bibtex="""@inproceedings{li-etal-2024-preference,
  title     = {Preference Tuning For Toxicity Mitigation Generalizes Across Languages},
  author    = {Li, Xiaochen and Yong, Zheng Xin and Bach, Stephen},
  booktitle = {Findings of the Association for Computational Linguistics: EMNLP 2024},
  year      = {2024},
  url       = {https://arxiv.org/abs/2406.16235}
}
@inproceedings{rafailov2023direct,
  title     = {Direct Preference Optimization: Your Language Model is Secretly a Reward Model},
  author    = {Rafailov, Rafael and Sharma, Archit and Mitchell, Eric and Manning, Christopher D. and Ermon, Stefano
               and Finn, Chelsea},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {36},
  year      = {2023},
  url       = {https://arxiv.org/abs/2305.18290}
}""",
    url="https://arxiv.org/abs/2406.16235",
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
    from .. import artifacts
    from .fit import fit

    path = fit(pretrained, out, texts=texts, settings=settings, revision=revision, device=device)
    trained = artifacts.read(path)["trained"]
    row = {
        "model": str(path),
        "pairs": f"{trained['rows']:,}",
        "updates": f"{trained['updates']:,}",
        "loss on its own pairs": f"{trained['loss_before']:.4f} -> {trained['loss_after']:.4f}",
    }
    note = f"or as a model: lm_eval --model hf --model_args pretrained={path} --tasks …"
    return base.Made({NAME: path}, [row], {"strength": 1}, [note])


FIT = base.Fit(
    name=NAME,
    summary="A model OUT/dpo, the base model tuned on pairs of a harmless and a toxic continuation.",
    run=run,
    artifacts=(base.Artifact(NAME, "the base model after preference optimization", "both"),),
    settings=Settings,
    cost=partial(finetuning, passes=4 / 3),  # the base model reads every text, too
    needs=("toxic", "nontoxic"),
    pairs=True,
    grows=base.Growth("retrain"),
    mini=base.Mini(
        {"epochs": 1, "max_steps": 60, "learning_rate": 1e-4, "batch_size": 8, "device_batch_size": 8,
         "block_size": 32, "held_out": 0.0, "pairs_limit": 500},
        minutes=0.5,
    ),
)  # fmt: skip


class DPO(base.WeightMethod):
    """``base + strength * (tuned - base)``: the tuned model itself at strength 1."""

    about = ABOUT
    fit = FIT
    uses = (base.Use("finetuned", NAME),)

    class Arguments(base.Arguments):
        finetuned: str | None = Field(None, description="checkpoint or LoRA adapter")
        strength: float = Field(1.0, ge=0, description="share of the change that is taken; 0 is the base model")

    @classmethod
    def on_mini(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """All of what so small a model learns from made-up pairs takes its languages with the toxicity."""
        return {"strength": 0.3}

    def __init__(self, model: PreTrainedModel, arguments: Arguments):
        tuned, coefficient = self.difference(arguments)
        self.change = Reweighted(model, tuned, coefficient) if arguments.strength > 0.0 else None

    @classmethod
    def difference(cls, arguments: Arguments) -> tuple[str | Sequence[str], float]:
        """The tuned checkpoint, and how many times the difference from the base is taken away: less than no times."""
        if not arguments.finetuned:
            raise missing_artifact(NAME, "finetuned=…", f"{NAME} --pretrained … --pairs … --out …")
        return arguments.finetuned, -arguments.strength

    def weight(self, name: str, base: Tensor) -> Tensor:
        """The base tensor plus its share of the change (``Reweighted.weight``)."""
        return base if self.change is None else self.change.weight(name, base)
