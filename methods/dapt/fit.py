"""Domain-adaptive training: the base model fine-tuned on non-toxic text (Gururangan et al. 2020)."""

from __future__ import annotations

from pathlib import Path

from ..training import finetune
from ..training.finetune import Corpus, Settings

NAME = "dapt"
DEFAULTS = Settings(epochs=3.0, learning_rate=5e-5)


def fit(
    pretrained: str,
    out: str | Path,
    *,
    nontoxic: Corpus,
    settings: Settings = DEFAULTS,
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
