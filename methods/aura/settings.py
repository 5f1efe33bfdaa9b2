"""Settings of the fit."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ..activation import settings

NAME = "aura"
KIND = "neuron_factors"


class Settings(settings.Settings):
    """How texts are chosen and read."""

    texts: int = Field(1000, ge=2, description="of each side, at random")
    lengths: Literal["matched", "given"] = Field(
        "matched",
        description="matched: as many texts of each language and length on both sides, since a maximum over positions "
        "grows with their number; given: the texts as they are",
    )
