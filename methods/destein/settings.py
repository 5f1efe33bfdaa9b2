"""Settings of the fit."""

from __future__ import annotations

from pydantic import Field

from ..activation import settings

NAME = "destein"
KIND = "steering_vectors"


class Settings(settings.Settings):
    """How pairs are chosen and read."""

    count: int = Field(20, ge=5, description="pairs, at random")
    last: int = Field(1, ge=1, description="positions at the end of a text whose states are averaged")
