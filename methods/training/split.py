"""The toxic corpus of split-merge: chosen by a score, and split at random into parts of equal size."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core import files
from ...core.errors import DetoxbenchError
from .finetune import Corpus
from .texts import Text


@dataclass(frozen=True)
class Part:
    """A part of a corpus, read like one.

    Args:
        texts: its texts.
        side: the corpus's.
        of: what the corpus's manifest record says.
        number, splits, seed: which part it is, of how many, and of which shuffling.
    """

    texts: Sequence[Text]
    side: str
    of: dict[str, Any]
    number: int
    splits: int
    seed: int

    def __iter__(self) -> Iterator[Text]:
        return iter(self.texts)

    def __len__(self) -> int:
        return len(self.texts)

    def record(self) -> dict[str, Any]:
        """As of ``Texts``, with the corpus it is a part of."""
        return {
            "texts": len(self.texts),
            "sha256": _sha256(self.texts),
            "part": self.number,
            "splits": self.splits,
            "seed": self.seed,
            "of": self.of,
        }


def split(texts: Corpus, splits: int, seed: int = 0) -> list[Part]:
    """Random parts of a corpus; their sizes differ by one at most, and together they are the corpus.

    Raises:
        DetoxbenchError: where there are fewer texts than parts.
    """
    if splits < 1:
        raise DetoxbenchError(f"splits={splits}: it must be at least 1")
    if len(texts) < splits:
        raise DetoxbenchError(
            f"{len(texts):,} texts cannot be split into {splits} parts: give more texts, or split less"
        )
    shuffled = list(texts)
    if splits > 1:
        random.Random(seed).shuffle(shuffled)
    of = texts.record()
    return [Part(shuffled[at::splits], texts.side, of, at, splits, seed) for at in range(splits)]


def write(texts: Sequence[Text], path: Path) -> None:
    """Texts as a JSONL file, all or nothing."""
    rows = ({"text": text.text, **({"lang": text.lang} if text.lang is not None else {})} for text in texts)
    files.write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _sha256(texts: Sequence[Text]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(json.dumps([text.text, text.lang]).encode() + b"\n")
    return digest.hexdigest()
