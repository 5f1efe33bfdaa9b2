"""Settings of the experts' training."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .. import settings
from ..training.settings import LORA
from ..training.settings import Settings as Training


class Settings(settings.Settings):
    """Defaults are the paper's (appendix B): AdamW without weight decay, linear decay without warm-up, an effective
    batch of 512 rows of 128 tokens."""

    epochs: float = Field(3.0, gt=0, description="passes over the texts")
    learning_rate: float = Field(5e-5, gt=0, description="at the start")
    batch_size: int = Field(512, ge=1, description="rows a step, reached by accumulation")
    device_batch_size: int = Field(8, ge=1, description="rows a forward pass")
    block_size: int = Field(128, ge=2, description="tokens a row")
    max_steps: int = Field(-1, description="stop there, whatever the epochs; -1: after the epochs")
    lora_rank: Annotated[int, LORA] = Field(0, ge=0, description="with --lora: rank of the adapters")
    seed: int = Field(0, description="of order and dropout")

    def training(self) -> Training:
        """For the trainer."""
        return Training(warmup_steps=0, **self.model_dump())
