"""Labelled text for fits: JSONL files or Hugging Face data sets, streamed, and known by the sha256 of their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core.constants import TOXIC
from ...core.errors import DetoxbenchError
from ...core.parsing import parse_json

SIDES = ("toxic", "nontoxic")
_NAMED = {"toxic": True, "1": True, "true": True, "nontoxic": False, "non-toxic": False, "0": False, "false": False}


@dataclass(frozen=True)
class Text:
    """One text.

    Args:
        text: not empty.
        lang: BCP-47 tag, None where the source does not say.
        score: how toxic it is, in [0, 1]; None where the source has no number.
    """

    text: str
    lang: str | None = None
    score: float | None = None


@dataclass(frozen=True)
class Columns:
    """Names of the fields; ``label`` and ``lang`` may be absent from the data.

    A label (true or false, 1 or 0, ``toxic`` or ``nontoxic``, or a score, toxic from 0.5 on) that contradicts the side
    that the text is read for leaves the text out: one file with labels can be given as both sides.
    """

    text: str = "text"
    label: str = "label"
    lang: str = "lang"


@dataclass
class Texts:
    """A side's texts, which can be iterated over more than once, always in the same order.

    Args:
        sources: JSONL files, or names of Hugging Face data sets: ``name`` or ``name:subset``.
        side: ``toxic`` or ``nontoxic``.
        columns: names of the fields.
        split: of data sets.
        langs: only these languages; empty for all.

    Attributes:
        count: texts that take part.
        bytes: of them in UTF-8, for estimates.
        sha256: of their content and order: two fits with the same one read the same texts.
        skipped: reason -> texts left out.

    Raises:
        DetoxbenchError: for a source that cannot be read, naming file and line, or one without any text of this side.
    """

    sources: Sequence[str]
    side: str
    columns: Columns = Columns()
    split: str = "train"
    langs: Sequence[str] = ()
    count: int = field(init=False, default=0)
    bytes: int = field(init=False, default=0)
    sha256: str = field(init=False, default="")
    skipped: dict[str, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        digest = hashlib.sha256()
        skipped: dict[str, int] = {}
        for text in self._read(skipped):
            digest.update(json.dumps([text.text, text.lang]).encode() + b"\n")
            self.count += 1
            self.bytes += len(text.text.encode())
        if not self.count:
            raise DetoxbenchError(f"{', '.join(map(str, self.sources))}: no {self.side} text{reasons(skipped)}")
        self.sha256, self.skipped = digest.hexdigest(), skipped

    def __iter__(self) -> Iterator[Text]:
        return self._read({})

    def __len__(self) -> int:
        return self.count

    def record(self) -> dict[str, Any]:
        """What manifests keep: no path, since a path says nothing elsewhere."""
        names = [Path(source).name if Path(source).is_file() else source for source in map(str, self.sources)]
        return {"sources": names, "texts": self.count, "sha256": self.sha256, "skipped": self.skipped}

    def _read(self, skipped: dict[str, int]) -> Iterator[Text]:
        for source in self.sources:
            rows = (
                jsonl(Path(source)) if is_file_source(str(source)) else _dataset(str(source), self.split, self.columns)
            )
            for where, row in rows:
                text = self._text(row, where, skipped)
                if text is not None:
                    yield text

    def _text(self, row: Any, where: str, skipped: dict[str, int]) -> Text | None:
        columns = self.columns
        text = row.get(columns.text) if isinstance(row, dict) else None
        if not isinstance(text, str):
            fields = ", ".join(row) if isinstance(row, dict) else type(row).__name__
            raise DetoxbenchError(f"{where}: no text in field '{columns.text}'; it has: {fields}")
        label, lang = row.get(columns.label), row.get(columns.lang)
        reason = None
        if not text.strip():
            reason = "empty"
        elif self.langs and lang not in self.langs:
            reason = "other language"
        elif label is not None and _toxic(label, where) is not (self.side == "toxic"):
            reason = "other label"
        if reason:
            skipped[reason] = skipped.get(reason, 0) + 1
            return None
        score = float(label) if isinstance(label, (int, float)) and not isinstance(label, bool) else None
        return Text(text, None if lang is None else str(lang), score)


def is_file_source(source: str) -> bool:
    """Whether a source is meant as a file.

    Raises:
        DetoxbenchError: for one that is not there.
    """
    path = Path(source)
    if path.is_file():
        return True
    if path.is_dir() or path.suffix in (".jsonl", ".json", ".txt", ".csv") or source.startswith(("/", ".", "~")):
        raise DetoxbenchError(f"'{source}' is no file: give a JSONL file, or the name of a Hugging Face data set")
    return False


def jsonl(path: Path) -> Iterator[tuple[str, Any]]:
    """Where a line is, and what it holds."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                where = f"{path}, line {number}"
                try:
                    yield where, parse_json(line.decode("utf-8"))
                except ValueError as error:
                    raise DetoxbenchError(f"{where}: not JSON in UTF-8: {error}") from None


def _dataset(name: str, split: str, columns: Columns) -> Iterator[tuple[str, Any]]:
    from datasets import load_dataset

    repository, _, subset = name.partition(":")
    try:
        data = load_dataset(repository, subset or None, split=split)
    except Exception as error:  # the library raises many kinds, from the network's to the builder's own
        cause = str(error).strip().splitlines() or [type(error).__name__]
        raise DetoxbenchError(f"data set '{name}', split '{split}', cannot be loaded: {cause[0]}") from error
    if columns.text not in data.column_names:
        raise DetoxbenchError(
            f"data set '{name}' has no column '{columns.text}': name the one with the text; it has "
            f"{', '.join(data.column_names)}"
        )
    for number, row in enumerate(data):
        yield f"data set '{name}', row {number}", row


def _toxic(label: Any, where: str) -> bool:
    if isinstance(label, (bool, int, float)):
        return label >= TOXIC
    if str(label).lower() in _NAMED:
        return _NAMED[str(label).lower()]
    raise DetoxbenchError(f"{where}: label {label!r}; allowed are true, false, a score in [0, 1], toxic, nontoxic")


def reasons(skipped: dict[str, int]) -> str:
    """What was left out and why, for a message; empty where nothing was."""
    return f" ({', '.join(f'{count:,} left out: {reason}' for reason, count in skipped.items())})" if skipped else ""
