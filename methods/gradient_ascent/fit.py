"""Gradient ascent on toxic text: few and small steps, since nothing bounds the loss (Jang et al. 2023)."""

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
    toxic: Corpus,
    settings: Settings = TRAINING,
    revision: str | None = None,
    device: str | None = None,
    checkpoint_steps: int = 500,
) -> Path:
    """Train ``OUT/gradient_ascent`` to find the texts less likely; see ``finetune.fit``."""
    return finetune.fit(
        pretrained,
        toxic,
        out,
        NAME,
        settings=settings,
        ascent=True,
        revision=revision,
        device=device,
        checkpoint_steps=checkpoint_steps,
    )
