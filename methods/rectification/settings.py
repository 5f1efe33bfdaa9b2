"""Settings of rectification's chain: prompts, continuations, scores, selection, SARSA."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from ...core.constants import MAX_NEW_TOKENS, SAMPLES, TEMPERATURE, TOP_P
from .. import settings
from ..settings import Named


class Training(settings.Settings):
    """Defaults are the paper's, as far as it gives them (learning rate, gamma, Polyak averaging).

    ``trace``: 0 is the paper's one-step target; 1 learns from the text's reward itself, which needs far fewer passes to
    reach a text's early tokens. ``head_only`` is several times faster, and with little data it forgets nothing that the
    base model knows. ``lr_scheduler_type`` linear calms the values of rare tokens.
    """

    epochs: int = Field(3, ge=1, description="passes over the chosen continuations")
    learning_rate: float = Field(3e-4, gt=0, description="of AdamW without weight decay, for body and head")
    lr_scheduler_type: Literal["constant", "linear"] = Field(
        "constant", description="of the learning rate; linear: down to 0 at the end"
    )
    batch_size: int = Field(32, ge=1, description="continuations a step")
    gamma: float = Field(1.0, ge=0, le=1, description="discount")
    polyak: float = Field(0.1, gt=0, le=1, description="share of the head that the target head takes over a step")
    trace: float = Field(0.0, ge=0, le=1, description="lambda of SARSA(lambda); 0: one step; 1: the text's reward")
    head_only: bool = Field(False, description="leave the body as it is")
    seed: int = Field(0, description="of prompts, continuations and training")


class Settings(settings.Settings):
    """Defaults are the paper's. ``own_continuations``: what follows the prompt of a text is scored like a continuation.
    The published chain has none; they cost no generation and show toxic words that the base model seldom says."""

    prompt_tokens: int = Field(20, ge=1, description="the first tokens of a text are a prompt")
    prompt_share: float = Field(1.0, gt=0, le=1, description="at most this share of a text's tokens, for short texts")
    prompts: int = Field(0, ge=0, description="at most so many, drawn evenly over sides and languages; 0: all")
    samples: int = Field(SAMPLES, ge=2, description="continuations of a prompt")
    keep: int = Field(1, ge=1, description="so many most and least toxic continuations are learned from")
    own_continuations: int = Field(0, ge=0, description="so many texts are learned from as they stand, too")
    max_new_tokens: int = Field(MAX_NEW_TOKENS, ge=1, description="of a continuation")
    top_p: float = Field(TOP_P, gt=0, le=1, description="of the continuations' nucleus")
    temperature: float = Field(TEMPERATURE, gt=0, description="of the continuations")
    lang: Annotated[str, Named("default_lang")] = Field("en", description="of texts that do not say theirs")
    seed: int = Field(0, description="of prompts, continuations and training")
    training: Training = Training()

    @pydantic.field_validator("keep")
    @classmethod
    def _two_ends(cls, keep: int, info: pydantic.ValidationInfo) -> int:
        if keep > info.data.get("samples", 2 * keep) / 2:
            raise ValueError("it must be at least 1 and at most half of the samples")
        return keep


class FitSettings(Settings):
    """Of the command: whose scores are the reward, too."""

    scorer: str = Field(min_length=1, description="whose scores are the reward; not the one that will judge")

    def chain(self) -> Settings:
        """All but the scorer."""
        return Settings(**self.model_dump(exclude={"scorer"}))
