"""Settings of direct preference optimization."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..settings import Aside, Switched
from ..training.loop import Settings as Training

NAME = "dpo"
"""Of the folder that the fit makes."""
LORA = Switched("lora", 64, "train adapters only, merged at the end (needs peft)")
RATE, LORA_RATE = 1e-6, 1e-5


class Settings(Training):
    """Defaults are those of Lee et al. and Li et al. (2024): RMSprop, batches of 4, prompts of 64 and texts of 256
    tokens, gradients of norm 10, at most 5 epochs, stopped early. Their 150 steps of warm-up are a share here, so that
    a small set of pairs is not all warm-up."""

    epochs: int = Field(5, ge=1, description="at most so many passes over the pairs")
    learning_rate: float | None = Field(  # type: ignore[assignment]
        None, gt=0, description=f"after warm-up; default: {RATE:g}, with --lora {LORA_RATE:g}"
    )
    beta: float = Field(0.1, gt=0, description="how closely the model is held to the base model; larger is closer")
    gradient_norm: float = Field(10.0, gt=0, description="longer gradients are shortened to it")
    batch_size: int = Field(4, ge=1, description="pairs a step")
    device_batch_size: int = Field(4, ge=1, description="pairs a forward pass; the rest is accumulated")
    prompt_size: int = Field(64, ge=1, description="tokens of a prompt; what is before them is cut off")
    block_size: int = Field(256, ge=2, description="tokens of a prompt with a continuation; the rest is cut off")
    held_out: float = Field(
        0.1, ge=0, lt=1, description="share of the pairs that the loss is watched on; 0: no stopping"
    )
    patience: int = Field(1, ge=1, description="epochs without an improvement there, after which it stops")
    pairs_limit: int = Field(0, ge=0, description="at most so many pairs, at random; 0: all")
    lora_rank: Annotated[int, LORA] = Field(0, ge=0, description="with --lora: rank of the adapters")
    lora_alpha: int = Field(16, ge=1, description="with --lora: scale of the adapters")
    lora_dropout: float = Field(0.05, ge=0, lt=1, description="with --lora: dropout before the adapters")
    bf16: bool | None = Field(None, description="mixed precision; default: where a GPU has it")
    checkpoint_steps: Annotated[int, Aside()] = Field(
        500, ge=1, description="a killed fit repeats at most so many steps"
    )
