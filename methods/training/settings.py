"""Settings of a fine-tuning, as light to import as a command's help needs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .. import settings
from ..settings import Aside, Switched

LORA = Switched("lora", 16, "train adapters only, merged at the end (needs peft)")


class Settings(settings.Settings):
    """Defaults are those of Ilharco et al. (2023, appendix): AdamW, linear decay after 100 steps of warm-up."""

    epochs: float = Field(5.0, gt=0, description="passes over the texts")
    learning_rate: float = Field(1e-5, gt=0, description="at its highest")
    warmup_steps: int = Field(100, ge=0, description="steps until it is reached; at most a tenth of all")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's")
    batch_size: int = Field(32, ge=1, description="rows a step; fewer where there would be hardly any steps")
    device_batch_size: int = Field(8, ge=1, description="rows a forward pass; the rest is accumulated")
    block_size: int = Field(128, ge=2, description="tokens a row")
    max_steps: int = Field(-1, description="stop there, whatever the epochs; -1: after the epochs")
    lora_rank: Annotated[int, LORA] = Field(0, ge=0, description="with --lora: rank of the adapters")
    bf16: bool | None = Field(None, description="mixed precision; default: where a GPU has it")
    seed: int = Field(0, description="of splitting, order and dropout")


class FitSettings(Settings):
    """With what a killed fit repeats."""

    checkpoint_steps: Annotated[int, Aside()] = Field(
        500, ge=1, description="a killed fit repeats at most so many steps"
    )

    def training(self) -> Settings:
        """For the trainer."""
        return Settings(**self.model_dump(include=set(Settings.model_fields)))
