"""The embedded world: corpus, prompts, tokenizer, language model and scorer; everything runs without a network."""

from __future__ import annotations

from pathlib import Path

from ..constants import MINI

FOLDER = Path(__file__).parent
MODEL = FOLDER / "model"
SCORER = FOLDER / "scorer"
PROMPTS = FOLDER / "prompts"


def model_folder(pretrained: str) -> str:
    """``mini`` becomes the embedded model's folder; any other name or path is returned as it is."""
    return str(MODEL) if pretrained == MINI else pretrained
