"""Settings of split-merge: of the parts' training, and of the merged model that the command writes beside them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from ..settings import Aside
from ..training import settings

AUTO = "auto"
MERGED = "model"
PART = "part"


class Settings(settings.FitSettings):
    """Of the parts' training, and of the merged model that the command writes beside them."""

    splits: int = Field(5, ge=1, description="parts of the toxic texts; 1: plain negation")
    merge: Annotated[bool, Aside(command=True)] = Field(
        True, description="write OUT/model, the base model without them"
    )
    coefficient: Annotated[float | Literal["auto"], Aside(command=True)] = Field(
        1.0, description="how much is taken away: a number, or auto (needs --nontoxic, held out)"
    )
    max_perplexity_ratio: Annotated[float, Aside(command=True)] = Field(
        1.5, gt=0, description="with auto: bound on perplexity over the base model's"
    )
    part: Annotated[list[int] | None, Aside(command=True)] = Field(
        None, description="train this part only, from 0 on; repeatable"
    )
    dtype: Annotated[str | None, Aside(command=True)] = Field(
        None, description="of the merged weights; default: the base model's"
    )

    @pydantic.field_validator("coefficient", mode="before")
    @classmethod
    def _number_or_auto(cls, given: Any) -> Any:
        try:
            return given if given == AUTO else float(given)
        except (TypeError, ValueError, OverflowError):
            raise ValueError("give a number, or auto") from None
