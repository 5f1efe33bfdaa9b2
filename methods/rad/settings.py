"""Settings of the reward model's training."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..settings import Aside
from ..training.loop import Settings as Training


class Settings(Training):
    """Defaults are the paper's: Adam with betas 0.9 and 0.95, weight decay 0.01, 2e-5, one epoch of batches of 100
    texts."""

    epochs: int = Field(1, ge=1, description="passes over the texts")
    learning_rate: float = Field(2e-5, gt=0, description="at its highest")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's")
    batch_size: int = Field(100, ge=1, description="texts a step")
    device_batch_size: int = Field(25, ge=1, description="texts a forward pass; the rest is accumulated")
    block_size: int = Field(128, ge=1, description="tokens of a text; the rest is cut off")
    reward_pretrained: str | None = Field(
        None, description="the causal LM that it starts from, of any vocabulary; default: the base model"
    )
    checkpoint_steps: Annotated[int, Aside()] = Field(
        500, ge=1, description="a killed fit repeats at most so many steps"
    )
