"""Validity of scorers as records: what ``detoxbench validate --json`` writes, strict and bounded, one file a report.

Files of a records folder are written once and never changed: the name is a digest of the content. They hold no text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pydantic

from ...core.errors import DetoxbenchError
from ...core.parsing import parse_json
from ...core.results import first_error
from .. import content_named
from ..content_named import checked, digest, strings
from ..submissions import Number, Strict

DIGITS = 4
"""Significant digits kept: far below any interval's width."""
CLOSE = 2e-3
"""By how much a mean of rounded figures may differ from the rounded mean, relative to 1."""
SIGNED = (
    "spearman", "kappa", "quadratic_weighted_kappa", "linear_weighted_kappa", "alpha_ordinal", "alpha_interval"
)  # fmt: skip
"""Figures from -1 to 1; alpha can be lower still. All others are from 0 to 1."""
UNBOUNDED_BELOW = ("alpha_ordinal", "alpha_interval")
MACRO = "macro"
HATE = "hatecheck"
"""The label set that asks for hate, not for toxicity: how well a scorer finds hate says little of its use here."""

Count = Annotated[int, pydantic.Field(ge=0)]
Share = Annotated[float, pydantic.Field(ge=0, le=1, allow_inf_nan=False)]
Words = Annotated[str, pydantic.Field(max_length=1000)]
Name = Annotated[str, pydantic.Field(min_length=1, max_length=200)]


class Figure(Strict):
    """A number with its 95% interval; None where there is none."""

    value: Number | None
    low: Number | None = None
    high: Number | None = None

    @pydantic.model_validator(mode="after")
    def _in_order(self) -> Figure:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"an interval from {self.low:g} to {self.high:g}")
        if self.value is None and (self.low is not None or self.high is not None):
            raise ValueError("an interval without a value")
        return self

    def numbers(self) -> Iterator[float]:
        yield from (one for one in (self.value, self.low, self.high) if one is not None)


def _bounded(figures: dict[str, Figure]) -> dict[str, Figure]:
    for name, figure in figures.items():
        least = -math.inf if name in UNBOUNDED_BELOW else -1.0 if name in SIGNED else 0.0
        for number in figure.numbers():
            if not least <= number <= 1.0:
                raise ValueError(f"{name} is {number:g}, not from {least:g} to 1")
    return figures


Figures = Annotated[dict[Name, Figure], pydantic.AfterValidator(_bounded)]


class Curve(Strict):
    """One bin of a reliability curve: texts with a score in it, their mean score, and the share that is toxic."""

    low: Share
    high: Share
    texts: Annotated[int, pydantic.Field(ge=1)]
    score: Share
    toxic: Share


class Language(Strict):
    """A scorer in one language."""

    texts: Annotated[int, pydantic.Field(ge=1)]
    toxic: Count
    unscored: Count
    share_unscored: Share
    figures: Figures
    reliability: list[Curve]
    better_than_chance: bool | None

    @pydantic.model_validator(mode="after")
    def _agrees(self) -> Language:
        if self.toxic > self.texts or self.unscored > self.texts:
            raise ValueError(f"{self.toxic} toxic and {self.unscored} unscored of {self.texts} texts")
        if sum(curve.texts for curve in self.reliability) != self.texts - self.unscored:
            raise ValueError("the reliability curve is not of the scored texts")
        auc = self.figures.get("auc")
        above = None if auc is None or auc.low is None else auc.low > 0.5
        if above != self.better_than_chance:
            raise ValueError(f"better_than_chance is {self.better_than_chance}, but its AUC's interval says {above}")
        return self


class Group(Strict):
    """A scorer on the texts of one group in one language."""

    texts: Annotated[int, pydantic.Field(ge=1)]
    toxic: Count
    failure_rate: Figure
    false_positive_rate: Figure

    @pydantic.model_validator(mode="after")
    def _rates(self) -> Group:
        for figure in (self.failure_rate, self.false_positive_rate):
            if not all(0 <= number <= 1 for number in figure.numbers()):
                raise ValueError("a rate is from 0 to 1")
        return self


class Macro(Strict):
    """The unweighted mean over languages."""

    languages: Count
    figures: Figures


class Scorer(Strict):
    """One scorer, or a published column of the labels.

    Args:
        name, version: as results record them; ``published`` for a column.
        reasons: why texts are unscored -> how many.
        trained_on: data sets that it learned from, as far as it says.
        licence: of its weights.
        groups: grouping -> value -> language -> rates.
    """

    name: Name
    version: Name
    attribute: Name | None = None
    published: Name | None = None
    scale: tuple[Number, Number] | None = None
    reasons: dict[Words, Count] = pydantic.Field(default_factory=dict)
    licence: Words = ""
    trained_on: list[Name] = pydantic.Field(default_factory=list)
    texts_per_second: Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)] | None = None
    languages: dict[Name, Language]
    macro: Macro
    groups: dict[Name, dict[Name, dict[Name, Group]]] = pydantic.Field(default_factory=dict)

    @pydantic.model_validator(mode="after")
    def _mean(self) -> Scorer:
        for name, figure in self.macro.figures.items():
            each = [one.figures[name].value for one in self.languages.values() if name in one.figures]
            known = [value for value in each if value is not None]
            if figure.value is not None and known and abs(figure.value - float(np.mean(known))) > CLOSE:
                raise ValueError(f"macro-average of {name} is {figure.value:g}, its languages show {np.mean(known):g}")
        return self


class Side(Strict):
    texts: Count
    figures: Figures


class Annotators(Strict):
    """Each annotator against the others, and Krippendorff's alpha."""

    languages: dict[Name, Side]
    macro: Macro


class Labels(Strict):
    """Which texts, labelled by whom.

    Args:
        published: figure -> who or what -> its value on the whole set, as the citation has it.
    """

    name: Name
    title: Words
    measures: Words
    licence: Words
    homepage: Words
    citation: Words
    notes: Words = ""
    revision: Words | None = None
    part: Name | None = None
    split_version: int | None = None
    positive: Number
    sha256: Name
    published: dict[Name, dict[Name, Number]] = pydantic.Field(default_factory=dict)


class ValidityRecord(Strict):
    """A report of ``detoxbench validate``; see there for the figures."""

    id: Annotated[str, pydantic.Field(exclude=True)] = ""
    kind: Literal["detoxbench.validity"]
    schema_version: Literal[1]
    labels: Labels
    threshold: Share
    resamples: Annotated[int, pydantic.Field(ge=1)]
    texts: Annotated[int, pydantic.Field(ge=1)]
    languages: list[Name]
    scorers: Annotated[list[Scorer], pydantic.Field(min_length=1)]
    annotators: Annotators | None
    comparisons: list[dict[str, Any]] = pydantic.Field(default_factory=list)

    @pydantic.model_validator(mode="after")
    def _plain(self) -> ValidityRecord:
        said = self.model_dump(exclude={"comparisons"})
        if wrong := next((text for text in strings(said) if not text.isprintable()), None):
            raise ValueError(f"{wrong[:60]!r}: a name that cannot be printed")
        for scorer in self.scorers:
            if set(scorer.languages) != set(self.languages):
                raise ValueError(f"scorer '{scorer.name}' has other languages than the report")
        return self

    @property
    def title(self) -> str:
        """Label set and part."""
        return self.labels.title + (f" (part {self.labels.part})" if self.labels.part else "")

    @property
    def texts_key(self) -> tuple[str, float]:
        """Reports of one key are of the same labelled texts, cut alike, so that their figures share a table."""
        return self.labels.sha256, self.threshold


def of_report(report: Mapping[str, Any], where: str) -> ValidityRecord:
    """The record of a report; comparisons follow from the scorers and are left out.

    Raises:
        DetoxbenchError: naming ``where`` it comes from, for what is no such report or says something impossible.
    """
    try:
        rounded = _rounded({**report, "comparisons": []})
        # As JSON: whole numbers are numbers there, and lists are tuples.
        record = ValidityRecord.model_validate_json(json.dumps(rounded))
    except pydantic.ValidationError as error:
        raise DetoxbenchError(f"'{where}': not a report of detoxbench validate: {first_error(error)}") from None
    except (TypeError, ValueError) as error:
        raise DetoxbenchError(f"'{where}': not a report of detoxbench validate: {error}") from None
    return record.model_copy(update={"id": digest(to_text(record).encode())})


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list | tuple) else value


def is_report(content: Any) -> bool:
    """Whether JSON calls itself a report of ``detoxbench validate``."""
    return isinstance(content, Mapping) and content.get("kind") == "detoxbench.validity"


def is_report_file(path: Path) -> bool:
    """Whether a file's JSON calls itself a report of ``detoxbench validate``."""
    try:
        return path.is_file() and path.suffix == ".json" and is_report(parse_json(path.read_bytes()))
    except ValueError:
        return False


def to_text(record: ValidityRecord) -> str:
    """A record as its file holds it: a scorer a line, and what has its default left out."""
    content = record.model_dump(mode="json", exclude_defaults=True)
    scorers = ",\n".join("  " + json.dumps(one, separators=(",", ":")) for one in content.pop("scorers"))
    return json.dumps(content, indent=1)[:-2] + ',\n "scorers": [\n' + scorers + "\n ]\n}\n"


def read(path: Path) -> ValidityRecord:
    """A report, or a record of a folder.

    Raises:
        DetoxbenchError: if it is none.
    """
    try:
        content = parse_json(path.read_bytes())
    except OSError as error:
        raise DetoxbenchError(f"'{path}': {error.strerror}") from None
    except ValueError as error:
        raise DetoxbenchError(f"'{path}': not JSON: {error}") from None
    if not is_report(content):
        raise DetoxbenchError(f"'{path}': not a report of detoxbench validate --json")
    return of_report(content, str(path))


def read_kept(path: Path) -> ValidityRecord:
    """One file of a records folder.

    Raises:
        DetoxbenchError: if it is no record, or its content is not what its name says.
    """
    record = read(path)
    checked(path, path.read_bytes())
    return record


def append(folder: Path, records: Iterable[ValidityRecord]) -> list[Path]:
    """Write those records that the folder does not have yet; see ``content_named.append``."""
    return content_named.append(folder, ((record.id, to_text(record)) for record in records))
