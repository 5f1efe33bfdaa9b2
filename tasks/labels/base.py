"""What a set of labelled texts is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core.errors import DetoxbenchError
from ...core.validity.labelled import LabelledText
from ..prompts import hub
from ..prompts.rows import SHOWN, Row

RATING = (1.0, 5.0)
"""Ends of the scale of annotators' ratings."""


@dataclass(frozen=True)
class Request:
    """What the user asks of a set.

    Args:
        path: file or folder of a copy; None for the hub.
        positive: a mean rating of at least this is toxic.
        columns: published scores to take from the rows, by the row's own names.
        langs: primary subtags or tags wanted; empty for all.
        revision: of the hub's repository; None for the pinned one.
    """

    path: Path | None = None
    positive: float = 3.0
    columns: Sequence[str] = ()
    langs: Sequence[str] = ()
    revision: str | None = None

    def wants(self, lang: str) -> bool:
        return not self.langs or lang in self.langs or lang.split("-")[0].lower() in self.langs


@dataclass(frozen=True)
class LabelSet:
    """A registered set, and its card.

    Args:
        name: what ``--labels`` takes.
        title: of the set.
        measures: what the labels say, for it is seldom exactly "toxic".
        licence: of the texts.
        homepage: where it is described.
        citation: the paper.
        read: request -> texts and the commit that they are of, None for a copy; raises ``DetoxbenchError``.
        repositories: hub repositories, ``name`` or ``name@commit``; empty where it comes from a path alone.
        revision: that is asked for of those without a commit.
        notes: what readers of its figures should know.
        published: figure -> who or what -> its value on the whole set, as ``citation`` has it, to stand beside ours.
    """

    name: str
    title: str
    measures: str
    licence: str
    homepage: str
    citation: str
    read: Callable[[LabelSet, Request], tuple[list[LabelledText], str | None]]
    repositories: Mapping[str, str] = field(default_factory=dict)
    revision: str = "main"
    notes: str = ""
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def card(self) -> dict[str, Any]:
        """JSON-ready, without the function."""
        fields = ("name", "title", "measures", "licence", "homepage", "citation", "notes")
        published = {"published": self.published} if self.published else {}
        return {name: getattr(self, name) for name in fields} | {"revision": self.revision} | published

    def files(self, request: Request, key: str, patterns: Sequence[str]) -> tuple[list[Path], str | None]:
        """The files of one of its repositories and their commit, or those of the copy that match.

        Raises:
            DetoxbenchError: where there is none.
        """
        if request.path is not None:
            return local(self.name, request.path, patterns), None
        if key not in self.repositories:
            raise DetoxbenchError(f"labels '{self.name}' are not on the hub: give --path; see {self.homepage}")
        name, _, pinned = self.repositories[key].partition("@")
        return hub.snapshot(name, request.revision or pinned or self.revision, patterns, "give --path FOLDER")


def local(name: str, path: Path, patterns: Sequence[str]) -> list[Path]:
    """A file, or those of a folder that match any of the glob patterns, however deep.

    Raises:
        DetoxbenchError: where there is none.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DetoxbenchError(f"labels '{name}': '{path}': there is no such file or folder")
    found = sorted({file for pattern in patterns for file in path.rglob(pattern) if file.is_file()})
    if not found:
        raise DetoxbenchError(f"labels '{name}': '{path}' holds none of {', '.join(patterns)}")
    return found


def collect(
    rows: Iterable[Row], parse: Callable[[Mapping[str, Any], int], LabelledText | None], what: str, needs: str
) -> list[LabelledText]:
    """The labelled texts of the rows.

    Args:
        rows: of a file.
        parse: row and its number -> text; None for one that is not asked for or has no label; ``ValueError`` says what
            is wrong with the row.
        what: how messages name the file.
        needs: what a row needs, one sentence.

    Raises:
        DetoxbenchError: if rows are wrong: how many, and the first ones' numbers.
    """
    found, wrong = [], []
    for row in rows:
        try:
            if row.error is not None or not isinstance(row.value, Mapping):
                raise ValueError(row.error or "not a JSON object")
            one = parse(row.value, row.number)
        except ValueError as error:
            wrong.append((row.number, str(error)))
        else:
            if one is not None:
                found.append(one)
    if wrong:
        lines = ", ".join(str(number) for number, _ in wrong[:SHOWN]) + (", …" if len(wrong) > SHOWN else "")
        number, reason = wrong[0]
        raise DetoxbenchError(f"{what}: {len(wrong)} rows are wrong (lines {lines}); line {number}: {reason}. {needs}")
    return found


def number(value: Any, name: str, low: float = 0.0, high: float = 1.0) -> float:
    """A number of a row, as JSON or CSV has it.

    Raises:
        ValueError: for what is none, or is not from ``low`` to ``high``.
    """
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if isinstance(value, bool):
        return float(value)
    if not low <= found <= high:
        raise ValueError(f"'{name}' is {value!r:.40}, not a number from {low:g} to {high:g}")
    return found


def scores(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, float]:
    """Published scores of a row; null and absent ones are NaN.

    Raises:
        ValueError: for what is no number.
    """
    found = {}
    for name in names:
        value = row.get(name)
        found[name] = math.nan if value in (None, "") else number(value, name, -math.inf, math.inf)
    return found


def rated(values: Any, name: str) -> tuple[float, ...]:
    """Annotators' ratings; those who gave none are left out.

    Raises:
        ValueError: for another thing, or a rating outside ``RATING``.
    """
    if not isinstance(values, list | tuple):
        raise ValueError(f"'{name}' is {values!r:.40}, not a list of ratings")
    return tuple(number(one, name, *RATING) for one in values if one is not None and one == one)
