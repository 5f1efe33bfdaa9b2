"""Settings of the fit."""

from __future__ import annotations

from pydantic import Field

from ..activation import settings

NAME = "aura"
KIND = "neuron_factors"


class Settings(settings.Settings):
    """How texts are chosen and read."""

    texts: int = Field(1000, ge=2, description="of each side, at random")
