"""Published texts that carry their scores by name: RealToxicityPrompts, collated generations, labelled corpora."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import DetoxbenchError
from ..language_codes import is_tag
from .archive import Key, Row, ScoreArchive, text_sha256
from .archive_io import Imported
from .perspective_api import ENGLISH, PRODUCTION
from .published_answers import PERSPECTIVE
from .published_files import read_rows

ATTRIBUTES = frozenset((*PRODUCTION, *ENGLISH))
PARTS = ("prompt", "continuation", "generations")
"""Where a row holds texts, beside its own ``text``."""
ROWS = 2000
"""Stored at a time."""


def scored_texts(row: Any, lang: str | None) -> Iterator[tuple[str, dict[str, float], str | None]]:
    """The texts of a row with their scores by name, and their language.

    ``{"text": …, "toxicity": 0.1, …}`` is one, and so is each such object under ``prompt``, ``continuation`` and
    ``generations``. A score that is null or NaN is none; a text without any is left out.

    Raises:
        ValueError: for a score that is no probability.
    """
    if not isinstance(row, Mapping):
        raise ValueError("not a JSON object")
    own = row.get("lang", lang)
    if own is not None and not (isinstance(own, str) and is_tag(own)):
        raise ValueError(f"'lang' is {str(own)[:40]!r}, not a language tag")
    found = {}
    for name, value in row.items():
        if str(name).lower() not in ATTRIBUTES or value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"'{name}' is {str(value)[:40]!r}, not a number")
        if isinstance(value, float) and math.isnan(value):
            continue
        if not 0 <= value <= 1:
            raise ValueError(f"'{name}' is {str(value)[:40]}, which is no probability")
        found[str(name).lower()] = float(value)
    if found and isinstance(row.get("text"), str):
        yield row["text"], found, own
    for part in PARTS:
        inner = row.get(part)
        for one in inner if isinstance(inner, list) else [inner]:
            if isinstance(one, Mapping):
                yield from scored_texts(one, own)


def has_scores(path: Path | str) -> bool:
    """Whether the first row of a file holds a text with its scores by name."""
    first = next(iter(read_rows(path)), None)
    try:
        return next(scored_texts(first, None), None) is not None
    except (ValueError, RecursionError):
        return False


def import_scored(
    archive: ScoreArchive, path: Path | str, *, version: str, lang: str | None = None, scorer: str = PERSPECTIVE
) -> Imported:
    """Store the scores of such a file, Parquet or JSON lines.

    Args:
        version: when they were made, such as ``v1alpha1@2020``.
        lang: of the texts; a ``lang`` in a row wins.
        scorer: whose scores they are.

    Raises:
        DetoxbenchError: for a row that is none, without a language, or for a file without any score.
    """
    rows = enumerate(read_rows(path), start=1)
    read = added = 0
    while part := list(islice(rows, ROWS)):
        kept: dict[Key, list[Row]] = {}
        for number, row in part:
            try:
                for text, scores, own in scored_texts(row, lang):
                    if own is None:
                        raise ValueError("does not say the language of its texts: give it with --lang")
                    key = Key(scorer, version, tuple(scores), own)
                    kept.setdefault(key, []).append(
                        Row(text_sha256(text), [scores[name] for name in key.attributes], None, text)
                    )
            except (ValueError, RecursionError) as error:
                raise DetoxbenchError(f"'{path}', row {number}: {error}") from None
        read += sum(map(len, kept.values()))
        added += sum(archive.put(key, entries) for key, entries in kept.items())
    if not read:
        raise DetoxbenchError(f"'{path}' holds no text with scores by name (toxicity, insult, …)")
    return Imported(read, added)
