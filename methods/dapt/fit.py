"""Domain-adaptive training: the base model fine-tuned on non-toxic text (Gururangan et al. 2020)."""

from __future__ import annotations

from pathlib import Path

from ..training import finetune
from ..training.finetune import Corpus
from ..training.settings import Settings
from .settings import DEFAULTS, NAME

TRAINING = Settings(**DEFAULTS)


def fit(
    pretrained: str,
    out: str | Path,
    *,
    nontoxic: Corpus,
    settings: Settings = TRAINING,
    revision: str | None = None,
    device: str | None = None,
    checkpoint_steps: int = 500,
) -> Path:
    """Fine-tune ``OUT/dapt``; see ``finetune.fit``."""
    return finetune.fit(
        pretrained,
        nontoxic,
        out,
        NAME,
        settings=settings,
        revision=revision,
        device=device,
        checkpoint_steps=checkpoint_steps,
    )
