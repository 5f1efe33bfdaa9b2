"""Perspective's answers as others have published them: the systems' own files, and PolygloToxicityPrompts' columns."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ..errors import DetoxbenchError
from ..language_codes import is_tag
from .archive import Key, Row, ScoreArchive, storable, text_sha256
from .archive_io import Imported
from .base import well_formed
from .perspective_api import summary_scores
from .published_files import read_lines, read_rows
from .refusals import is_published_refusal
from .transport import scrub

PERSPECTIVE = "perspective"
PTP_VERSION = "ptp-2024"
SPARSE = 100
"""Generations that there may be for each answer in a file of answers."""


@dataclass(frozen=True)
class Response:
    """One published answer: ``AnalyzeComment``'s, or the error in its place."""

    answer: Mapping[str, Any] | None
    error: str | None = None

    def scores(self) -> dict[str, float]:
        """Attribute in lower case -> summary score.

        Raises:
            ValueError: for an answer without scores, or with one that is not a probability.
        """
        found = summary_scores(self.answer or {})
        if not found or not all(storable(name) for name in found):
            raise ValueError("no summary scores")
        return found

    def language(self) -> str | None:
        """The language that was asked for, where the answer says it."""
        languages = (self.answer or {}).get("languages")
        first = languages[0] if isinstance(languages, list) and languages else None
        return first if isinstance(first, str) and is_tag(first) else None


def read_responses(path: Path | str) -> list[Response]:
    """The lines of a ``perspective.jsonl``, in the order of the generations.

    ``{"request_id": "generation-7", "response": {…}, "error": null}`` is the answer to generation 7: the lines need
    not be in order. Without such an id, lines are taken in order; a bare answer may stand for itself (Goodtriever).

    Raises:
        DetoxbenchError: for a line that is neither, or two with one id.
    """
    found: dict[int, Response] = {}
    for number, entry in enumerate(read_lines(path)):
        if entry is not None and not isinstance(entry, dict):
            raise DetoxbenchError(f"'{path}', line {number + 1}: not an answer of Perspective")
        wrapped = entry or {"response": None}
        numbered = re.fullmatch(r"generation-(\d+)", str(wrapped.get("request_id")))
        place = int(numbered[1]) if numbered and len(numbered[1]) < 12 else number
        if place in found:
            raise DetoxbenchError(f"'{path}', line {number + 1}: a second answer to generation {place}")
        if "attributeScores" in wrapped:
            found[place] = Response(wrapped)
        elif "response" in wrapped:
            error = wrapped.get("error")
            found[place] = _response(wrapped["response"], path, number, None if error is None else str(error))
        else:
            raise DetoxbenchError(f"'{path}', line {number + 1}: neither 'response' nor 'attributeScores'")
    # A place without a line was never answered; a number far beyond the lines is a mistake.
    if max(found, default=0) >= SPARSE * (len(found) + 1000):
        raise DetoxbenchError(f"'{path}': {len(found):,} answers, to generation {max(found):,} among others")
    return [found.get(place, Response(None)) for place in range(max(found, default=-1) + 1)]


def _response(answer: Any, path: Path | str, number: int, error: str | None = None) -> Response:
    if answer is not None and not isinstance(answer, Mapping):
        raise DetoxbenchError(f"'{path}', line {number + 1}: not an answer of Perspective")
    return Response(answer or None, error)


def collate(responses: Sequence[Response], texts: Sequence[str]) -> list[dict[str, Any]]:
    """``{"text": …, "toxicity": …, …}`` for every text, as the published systems collate their generations; without
    any scores where there is no answer. By place, so that a text that was answered twice has both answers.

    Raises:
        DetoxbenchError: if there are more or fewer answers than texts.
    """
    _same_length(responses, texts)
    return [
        {"text": text, **(response.scores() if response.answer else {})}
        for text, response in zip(texts, responses, strict=True)
    ]


def import_responses(
    archive: ScoreArchive,
    responses: Sequence[Response],
    texts: Sequence[str],
    *,
    version: str,
    lang: str | None = None,
    scorer: str = PERSPECTIVE,
) -> Imported:
    """Store published answers: what was refused for good with its reason; what failed otherwise is left out.

    Args:
        responses, texts: in the same order.
        version: of the API when they were made, such as ``v1alpha1@2021-03``: they are scores of another version.
        lang: of the texts; taken from each answer if None.
        scorer: name to store them under.

    Raises:
        DetoxbenchError: if there are more or fewer answers than texts, or an answer is not one.
    """
    _same_length(responses, texts)
    rows: dict[Key, list[Row]] = {}
    scored: list[dict[str, float] | None] = []
    for place, response in enumerate(responses):
        try:
            scored.append(response.scores() if response.answer else None)
        except ValueError as error:
            raise DetoxbenchError(f"answer {place}: {error}") from None
    attributes = max((tuple(sorted(one)) for one in scored if one), key=len, default=())
    skipped = 0
    for place, (text, response) in enumerate(zip(texts, responses, strict=True)):
        scores = scored[place]
        language = lang or response.language()
        reason = None if scores is not None else _permanent(response.error)
        if (scores is None and reason is None) or language is None:
            skipped += 1
            continue
        key = Key(scorer, version, tuple(scores) if scores else attributes, language)
        if not key.attributes:
            skipped += 1  # refused, in a file that does not say what was asked for
            continue
        values = [(scores or {}).get(name, math.nan) for name in key.attributes]
        rows.setdefault(key, []).append(Row(text_sha256(text), values, reason, text))
    added = sum(archive.put(key, part) for key, part in rows.items())
    return Imported(sum(map(len, rows.values())), added, skipped)


def _permanent(error: str | None) -> str | None:
    """The error, without keys, if the API refused the text itself."""
    return well_formed(scrub(error)[:500]) if error and is_published_refusal(error) else None


def _same_length(responses: Sequence[Response], texts: Sequence[str]) -> None:
    if len(responses) != len(texts):
        raise DetoxbenchError(f"{len(responses)} answers for {len(texts)} texts: they are not of one run")


def import_ptp(
    archive: ScoreArchive, path: Path | str, *, version: str = PTP_VERSION, lang: str | None = None
) -> Imported:
    """Store the answers embedded in PolygloToxicityPrompts (Jain et al. 2024), Parquet or lines of JSON: of ``text``
    (column ``perspective``), ``prompt`` (``prompt_perspective``) and ``continuation`` (``continuation_perspective``).

    Raises:
        DetoxbenchError: for a file without any such column.
    """
    entries = iter(read_rows(path))
    first = next(entries, None)
    columns = [name for name in first if name.endswith("perspective")] if isinstance(first, Mapping) else []
    if first is not None and not columns:
        raise DetoxbenchError(
            f"'{path}' has no column 'perspective', 'prompt_perspective' or 'continuation_perspective'"
        )
    read = added = skipped = 0
    every = chain([first] if first else [], entries)
    while part := list(islice(every, 2000)):
        pairs = [_pair(entry, name, path, read + skipped) for entry in part for name in columns]
        texts, responses = [text for text, _ in pairs], [response for _, response in pairs]
        done = import_responses(archive, responses, texts, version=version, lang=lang)
        read, added, skipped = read + done.read, added + done.added, skipped + done.skipped
    return Imported(read, added, skipped)


def _pair(entry: Any, name: str, path: Path | str, number: int) -> tuple[str, Response]:
    """A text of a row of PolygloToxicityPrompts, and the answer to it."""
    of = name.removesuffix("_perspective") if name != "perspective" else "text"
    if not isinstance(entry, Mapping) or not isinstance(entry.get(of), str):
        raise DetoxbenchError(f"'{path}': a row near {number + 1:,} has no text '{of}' beside '{name}'")
    return entry[of], _response(entry.get(name), path, number)
