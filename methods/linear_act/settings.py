"""Settings of the fit."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ..activation import settings

NAME = "linear_act"
KIND = "activation_maps"
PromptSelection = Literal["norms", "mlp"]


class Settings(settings.Settings):
    """Which maps are fitted, and how texts are chosen and read."""

    texts: int = Field(1000, ge=2, description="of each side, at random; as many of one as of the other")
    map: Literal["linear", "mean"] = Field("linear", description="linear transport, or the difference of means alone")
    where: PromptSelection = Field(
        "norms", description="norms: what the blocks' normalisations put out; mlp: the MLPs' linear layers"
    )
    incremental: bool = Field(True, description="each place is fitted with the maps before it at work")
