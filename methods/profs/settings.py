"""Settings of the fit."""

from __future__ import annotations

from pydantic import Field

from ..activation import settings

NAME = "profs"
KIND = "toxic_subspace"


class Settings(settings.Settings):
    """How pairs are chosen and read, and how much of the subspace is kept."""

    count: int = Field(500, ge=2, description="pairs, at random")
    ranks: int = Field(
        10, ge=1, description="directions of each block that are kept; the method takes the first of them"
    )
    centering: bool = Field(True, description="take out what all harmless texts share")
