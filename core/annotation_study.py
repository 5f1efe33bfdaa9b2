"""What people said of a run's texts, as the file beside its results has it: one schema for whoever reads it.

``detoxbench annotate --import`` writes it, ``report`` shows it, and the leaderboard takes the corrected shares from it.
Such a file comes along with results that others send: what it may not say is refused here, in one line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from .errors import DetoxbenchError
from .parsing import parse_json

KIND = "detoxbench annotations"
PREFIX = "annotations_"
DESIGNS = ("rating", "pairs")

Number = Annotated[float, pydantic.Field(allow_inf_nan=False)]
Share = Annotated[float, pydantic.Field(ge=0, le=1)]
Signed = Annotated[float, pydantic.Field(ge=-1, le=1)]
Count = Annotated[int, pydantic.Field(ge=0)]
Name = Annotated[str, pydantic.Field(max_length=200)]


class Model(pydantic.BaseModel):
    """Fields that nobody reads may be there."""

    model_config = pydantic.ConfigDict(extra="ignore", strict=True, frozen=True)


class Bounds(Model):
    """A figure with its interval; None where there is none."""

    value: Number | None = None
    low: Number | None = None
    high: Number | None = None

    @pydantic.model_validator(mode="after")
    def _both_or_none(self) -> Bounds:
        if (self.low is None) != (self.high is None):
            raise ValueError("one bound of the interval and not the other")
        return self


class ShareBounds(Bounds):
    """A share. One that labels correct may lie a little outside 0 and 1, its interval may not."""

    value: Annotated[float, pydantic.Field(ge=-1, le=2)] | None = None
    low: Share | None = None
    high: Share | None = None


class DifferenceBounds(Bounds):
    """A difference of two shares."""

    value: Signed | None = None
    low: Signed | None = None
    high: Signed | None = None


class Powered(ShareBounds):
    """A prediction-powered share, and how far the scorer was trusted."""

    weight: Number | None = None


class Toxic(Model):
    """The share of toxic texts of one language, or why there is none."""

    labelled: Count = 0
    reason: Name = ""
    scorer: Share | None = None
    prediction_powered: Powered | None = None
    rogan_gladen: ShareBounds | None = None


class Mean(Model):
    """A mean rating."""

    mean: Bounds | None = None


class Cell(Model):
    """A run in one language, or on average over languages."""

    texts: Count
    toxic: Toxic = Toxic()
    fluent: Mean = Mean()
    on_topic: Mean = Mean()


class Repeated(Model):
    """Raters on texts that came twice."""

    same: Bounds


class Agreement(Model):
    """Raters with each other, on one question."""

    texts: Count
    alpha: Bounds
    kappa: Bounds
    self_: Annotated[Repeated, pydantic.Field(alias="self")]


class Figures(Model):
    """A scorer on average over languages."""

    figures: dict[str, Bounds | None]


class Scorer(Model):
    """A scorer against people on these texts."""

    name: Name
    macro: Figures


class Validity(Model):
    """Of every scorer of the runs."""

    scorers: list[Scorer] = []


class WinRate(ShareBounds):
    """How often ``b`` is preferred to ``a``."""

    a: Name
    b: Name
    question: Name
    language: Name
    wins: Count
    ties: Count
    losses: Count


class Study(Model):
    """A study of some runs; ``runs`` maps the names of results files to labels."""

    kind: Literal["detoxbench annotations"]
    study: Name
    design: Literal["rating", "pairs"]
    runs: dict[Name, str]
    texts: Count
    texts_rated: Count
    raters: list[Any]
    agreement: dict[Name, Agreement] = {}
    base: Name | None = None
    validity: Validity | None = None
    estimates: dict[Name, dict[Name, Cell]] = {}
    differences: dict[Name, dict[Name, DifferenceBounds]] = {}
    win_rates: list[WinRate] = []

    @pydantic.model_validator(mode="after")
    def _of_its_runs(self) -> Study:
        sides = {side for one in self.win_rates for side in (one.a, one.b)}
        named = {*self.estimates, *self.differences, *sides, *([self.base] if self.base is not None else [])}
        if unknown := sorted(named - {*self.runs}):
            raise ValueError(f"it speaks of '{unknown[0]}', which is not among its runs")
        if self.estimates and self.base is None:
            raise ValueError("it has estimates and no base")
        return self


def path_beside(results: Path, design: str) -> Path:
    """Where what people said of a run lies."""
    return results.with_name(f"{PREFIX}{design}_{results.name.removeprefix('results_')}")


def read_study(path: Path) -> tuple[Study, Any]:
    """A study's file, checked and as it is written.

    Raises:
        DetoxbenchError: for a file of such a name that is something else, or says what cannot be.
    """
    try:
        content = parse_json(path.read_bytes())
        return Study.model_validate(content), content
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        cause = f"{where[:200]!r}: {first['msg']}"
    except (OSError, ValueError) as error:
        cause = str(error)
    raise DetoxbenchError(
        f"'{path}' is not what detoxbench annotate --import wrote ({cause}): import the raters' answers again"
    )


def studies_of(results: Path) -> list[Path]:
    """The files of studies beside a results file, one a design at most."""
    return [path for path in (path_beside(results, design) for design in DESIGNS) if path.is_file()]
