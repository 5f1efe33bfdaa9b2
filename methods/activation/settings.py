"""Settings of reading texts, shared by the fits that look at hidden states."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .. import settings
from ..settings import Aside


class Settings(settings.Settings):
    """How texts are read."""

    block_size: int = Field(128, ge=1, description="tokens of a text that are read, from its beginning")
    batch_size: Annotated[int, Aside()] = Field(32, ge=1, description="texts a forward pass")
    seed: int = Field(0, description="of the choice of texts")
