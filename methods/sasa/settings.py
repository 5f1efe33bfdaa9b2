"""Settings of SASA's probe."""

from __future__ import annotations

from pydantic import Field

from .. import settings


class Settings(settings.Settings):
    """The probe has a closed form: there is nothing to train for longer."""

    batch_size: int = Field(16, ge=1, description="texts a forward pass")
    block_size: int = Field(256, ge=1, description="tokens of a text; the rest is cut off")
    held_out: float = Field(
        0.1, ge=0, lt=1, description="share of the texts that it is judged by, 512 of a side at most"
    )
