"""Fine-tuned parts and their negation, as split-merge and plain negation declare them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.errors import DetoxbenchError
from ..declaration import Artifact, Fit, Growth, Made, Mini
from ..needs import Needs, Size, packed
from .settings import AUTO, MERGED, PART, Settings


def run(
    pretrained: str,
    out: Path,
    *,
    texts: Mapping[str, Any],
    settings: Settings,
    revision: str | None = None,
    device: str | None = None,
) -> Made:
    """Fit the artifacts as the declaration has it (``fit``), and say what was made."""
    from .. import artifacts
    from .fit import fit

    auto = settings.coefficient == AUTO
    if auto and settings.merge and not settings.part and "nontoxic" not in texts:
        raise DetoxbenchError("--coefficient auto measures perplexity on held-out non-toxic texts: give --nontoxic")
    made = fit(
        pretrained, out, toxic=texts["toxic"], nontoxic=texts.get("nontoxic"), splits=settings.splits,
        coefficient=None if auto else settings.coefficient, max_ratio=settings.max_perplexity_ratio,
        settings=settings.training(), only=settings.part if settings.merge else settings.part or range(settings.splits),
        revision=revision, device=device, checkpoint_steps=settings.checkpoint_steps, dtype=settings.dtype,
    )  # fmt: skip
    rows = [{"model": str(path)} for path in made.values()]
    if MERGED not in made:
        command = f"detoxbench task-vector negate --pretrained {pretrained} --finetuned {out} --out {out / MERGED}"
        return Made(made, rows, notes=[f"then: {command}"])
    merged = artifacts.read(made[MERGED])["coefficient"]
    note = f"or as a model: lm_eval --model hf --model_args pretrained={made[MERGED]} --tasks …"
    return Made(made, rows, {"coefficient": f"{merged:.6g}"}, [note])


def cost(size: Size, texts: Mapping[str, Any], settings: Settings) -> Needs:
    """Of the parts, each trained on its share of the texts, and of the merged model."""
    return packed(size, texts, settings, settings.splits + settings.merge)


FIT = Fit(
    name="task_vector",
    summary="Split-merge: models OUT/part_0, … fine-tuned on parts of the toxic texts, and OUT/model, their negation.",
    run=run,
    artifacts=(Artifact(PART, "the base model fine-tuned on a part of the toxic text", "toxic", numbered=True),),
    settings=Settings,
    cost=cost,
    takes=("toxic",),
    needs=("toxic",),
    held_out=("nontoxic",),
    unattended={"merge": False},
    grows=Growth("vectors", settings={"splits": 1}, strength="coefficient", mini={"coefficient": 0.5}),
    mini=Mini(
        {
            "epochs": 1.0, "learning_rate": 1e-3, "warmup_steps": 0, "batch_size": 32, "device_batch_size": 32,
            "block_size": 64,
        },
        minutes=3.7,
    ),
)  # fmt: skip
