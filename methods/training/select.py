"""Texts chosen by a threshold on a score column, from JSONL, CSV or Parquet files or Hugging Face data sets."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core.errors import DetoxbenchError
from .texts import Text

READERS = {".csv": ("csv", {}), ".tsv": ("csv", {"sep": "\t"}), ".parquet": ("parquet", {}), ".jsonl": ("json", {})}
_MISSING = object()


@dataclass
class Selected:
    """Texts whose score is above, or below, a threshold; read again on every iteration, in the same order.

    Args:
        sources: files, or data sets ``name`` or ``name:subset``.
        side: ``toxic`` or ``nontoxic``.
        score: column of the score; a dotted path reaches into nested columns (``continuation.toxicity``).
        above, below: strict bounds; at least one.
        text, lang: columns.
        split: of data sets.
        langs: only these languages; empty for all.

    Attributes:
        count: texts that take part.
        sha256: of their content and order.
        skipped: reason -> texts left out.

    Raises:
        DetoxbenchError: for what cannot be read, a column that is not there, or where no text is left.
    """

    sources: Sequence[str]
    side: str
    score: str
    above: float | None = None
    below: float | None = None
    text: str = "text"
    lang: str = "lang"
    split: str = "train"
    langs: Sequence[str] = ()
    count: int = field(init=False, default=0)
    sha256: str = field(init=False, default="")
    skipped: dict[str, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if self.above is None and self.below is None:
            raise DetoxbenchError(f"texts are chosen by column '{self.score}': give --above, --below, or both")
        digest = hashlib.sha256()
        skipped: dict[str, int] = {}
        for text in self._read(skipped):
            digest.update(json.dumps([text.text, text.lang]).encode() + b"\n")
            self.count += 1
        if not self.count:
            why = ", ".join(f"{count:,} {reason}" for reason, count in skipped.items()) or "it is empty"
            raise DetoxbenchError(f"{', '.join(map(str, self.sources))}: no text is chosen ({why})")
        self.sha256, self.skipped = digest.hexdigest(), skipped

    def __iter__(self) -> Iterator[Text]:
        return self._read({})

    def __len__(self) -> int:
        return self.count

    def record(self) -> dict[str, Any]:
        """What manifests keep: no path, since a path says nothing elsewhere."""
        names = [Path(source).name if Path(source).exists() else source for source in map(str, self.sources)]
        chosen = {"score": self.score, "above": self.above, "below": self.below}
        return {"sources": names, "texts": self.count, "sha256": self.sha256, "skipped": self.skipped, **chosen}

    def _read(self, skipped: dict[str, int]) -> Iterator[Text]:
        for source in self.sources:
            for number, row in enumerate(_rows(str(source), self.split), start=1):
                reason, text = self._choose(row, f"{source}, row {number}")
                if text is not None:
                    yield text
                else:
                    skipped[reason] = skipped.get(reason, 0) + 1

    def _choose(self, row: Any, where: str) -> tuple[str, Text | None]:
        text, score = _column(row, self.text), _column(row, self.score)
        for name, value in ((self.text, text), (self.score, score)):
            if value is _MISSING:
                raise DetoxbenchError(f"{where}: there is no column '{name}'; it has {', '.join(row)}")
        if score is None or score == "":
            return "without score", None
        try:
            value = float(score)
        except (TypeError, ValueError):
            raise DetoxbenchError(f"{where}: column '{self.score}' holds {score!r}, which is no number") from None
        if math.isnan(value):
            return "without score", None
        if not isinstance(text, str) or not text.strip():
            return "empty", None
        if (self.above is not None and not value > self.above) or (self.below is not None and not value < self.below):
            return "beyond the threshold", None
        lang = _column(row, self.lang)
        lang = None if lang is _MISSING or lang is None else str(lang)
        return ("other language", None) if self.langs and lang not in self.langs else ("", Text(text, lang, value))


def _column(row: Any, path: str) -> Any:
    """A column, by name or dotted path."""
    if isinstance(row, dict) and path in row:
        return row[path]
    for key in path.split("."):
        if not isinstance(row, dict) or key not in row:
            return _MISSING
        row = row[key]
    return row


def _rows(source: str, split: str) -> Iterator[Any]:
    """Rows of a file (streamed), of a folder of ``save_to_disk``, or of a data set on the hub."""
    from datasets import load_dataset, load_from_disk

    path = Path(source)
    name, _, subset = source.partition(":")
    try:
        if path.is_dir() and any((path / file).is_file() for file in ("dataset_info.json", "dataset_dict.json")):
            data = load_from_disk(str(path))
            data = data[split] if (path / "dataset_dict.json").is_file() else data
        elif path.suffix in READERS or path.is_file():
            if path.suffix not in READERS or not path.is_file():
                problem = "no such file" if not path.is_file() else f"unknown kind of file '{path.suffix}'"
                raise DetoxbenchError(f"'{source}': {problem}; allowed are {', '.join(READERS)}, or a data set's name")
            kind, options = READERS[path.suffix]
            data = load_dataset(kind, data_files=str(path), split="train", streaming=True, **options)
        elif path.is_dir() or source.startswith(("/", ".", "~")):
            raise DetoxbenchError(f"'{source}': there is no such file, and no data set saved in such a folder")
        else:
            data = load_dataset(name, subset or None, split=split)
        yield from data
    except DetoxbenchError:
        raise
    except Exception as error:  # the library raises many kinds, from the network's to the builder's own
        cause = str(error).strip().splitlines() or [type(error).__name__]
        raise DetoxbenchError(f"data set '{source}', split '{split}', cannot be read: {cause[0]}") from error
