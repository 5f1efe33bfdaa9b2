"""Settings of the class-conditional LM's training."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..settings import Aside
from ..training.loop import Settings as Training


class Settings(Training):
    """Defaults are those of the authors' script: lambda 0.8 on the generative loss, AdamW, 2e-5, one epoch, 4 texts of
    up to 192 tokens a step. Their codes of the detoxifier are ``clean`` and ``dirty``."""

    epochs: int = Field(1, ge=1, description="passes over the texts")
    learning_rate: float = Field(2e-5, gt=0, description="at its highest")
    batch_size: int = Field(4, ge=1, description="texts a step; each is read twice")
    block_size: int = Field(192, ge=2, description="tokens of a text; the rest is cut off")
    generative: float = Field(0.8, ge=0, le=1, description="lambda: weight of the generative loss, 1 - it of the other")
    desired_code: str = Field("clean", min_length=1, description="text read before non-toxic texts")
    undesired_code: str = Field("dirty", min_length=1, description="text read before toxic texts")
    class_pretrained: str | None = Field(
        None, description="the model that it starts from, with the base model's vocabulary; default: the base model"
    )
    checkpoint_steps: Annotated[int, Aside()] = Field(
        500, ge=1, description="a killed fit repeats at most so many steps"
    )
