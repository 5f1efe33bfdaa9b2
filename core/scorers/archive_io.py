"""Archives in and out: Parquet to publish, and the Perspective answers that others have published."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ..errors import DetoxbenchError
from ..files import replacing
from ..language_codes import is_tag
from ..parsing import parse_json
from .archive import Key, Row, ScoreArchive, storable, text_sha256
from .base import well_formed
from .perspective_api import summary_scores
from .refusals import is_published_refusal
from .transport import scrub

ROW_GROUP = 50_000
"""Rows held in memory at a time."""

COLUMNS = ("scorer", "version", "attributes", "language", "text_sha256", "values", "reason", "scored_at", "text")
PERSPECTIVE = "perspective"
PTP_VERSION = "ptp-2024"
FORMAT = 1
"""Of the exports, counted up when their columns change."""
SPARSE = 100
"""Generations that there may be for each answer in a file of answers."""
_FORMAT = b"detoxbench.score_archive"


@dataclass(frozen=True)
class Imported:
    """What an import did.

    Attributes:
        read: scores, or reasons, that the file has.
        added: those that were not in the archive.
        skipped: entries without an answer, which can be asked for again.
    """

    read: int
    added: int
    skipped: int = 0


def export_parquet(archive: ScoreArchive, path: Path | str, *, scorer: str | None = None, texts: bool = True) -> int:
    """Write all scores, or those of one scorer, to a Parquet file; how many rows is returned.

    Columns: ``scorer``, ``version``, ``language``, ``attributes`` (list), ``values`` (list of float64 in that order,
    NaN where there is none), ``text_sha256`` (hex), ``reason``, ``scored_at`` (seconds since 1970), and ``text``,
    null where it is not kept or not asked for. The file appears under its name only when it is whole.
    """
    import pyarrow as pa
    from pyarrow import parquet

    strings = pa.list_(pa.string())
    types = (
        pa.string(),
        pa.string(),
        strings,
        pa.string(),
        pa.string(),
        pa.list_(pa.float64()),
        pa.string(),
        pa.int64(),
        pa.string(),
    )
    schema = pa.schema(list(zip(COLUMNS, types, strict=True)), metadata={_FORMAT: str(FORMAT).encode()})
    every = ((key, row) for key, _ in archive.sets(scorer) for row in archive.rows(key, texts=texts))
    path, written = Path(path), 0
    with replacing(path) as partial, parquet.ParquetWriter(partial, schema, compression="zstd") as writer:
        while part := list(islice(every, ROW_GROUP)):
            columns = zip(*(_columns(key, row) for key, row in part), strict=True)
            writer.write_table(pa.table(dict(zip(COLUMNS, map(list, columns), strict=True)), schema=schema))
            written += len(part)
    return written


def _columns(key: Key, row: Row) -> tuple[Any, ...]:
    own = (row.text_sha256.hex(), list(row.values), row.reason, row.scored_at, row.text)
    return key.scorer, key.version, list(key.attributes), key.language, *own


def import_parquet(archive: ScoreArchive, path: Path | str) -> Imported:
    """Read what ``export_parquet`` wrote. Scores that the archive has already stay as they are.

    Raises:
        DetoxbenchError: for another file, or one in which a text does not match its hash.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            if _FORMAT not in (file.schema_arrow.metadata or {}):
                raise DetoxbenchError(f"'{path}' was not written by detoxbench archive export")
            read = added = 0
            for batch in file.iter_batches(batch_size=ROW_GROUP):
                rows: dict[Key, list[Row]] = {}
                for entry in batch.to_pylist():
                    key, row = _row(entry, path)
                    rows.setdefault(key, []).append(row)
                added += sum(archive.put(key, part) for key, part in rows.items())
                read += batch.num_rows
            return Imported(read, added)
    except DetoxbenchError:
        raise
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise DetoxbenchError(f"'{path}' cannot be read: {_first_line(error)}") from None


def _row(entry: Mapping[str, Any], path: Path | str) -> tuple[Key, Row]:
    try:
        names, text, sha = entry["attributes"], entry["text"], bytes.fromhex(entry["text_sha256"])
        scores = dict(
            zip(names, (math.nan if value is None else float(value) for value in entry["values"]), strict=True)
        )
        key = Key(entry["scorer"], entry["version"], tuple(names), entry["language"])
        row = Row(sha, [scores[name] for name in key.attributes], entry["reason"], text, entry["scored_at"])
        words = (key.scorer, key.version, key.language, *key.attributes)
        if not all(isinstance(word, str) and storable(word) for word in words) or len(scores) != len(names):
            raise ValueError("names")
        if len(sha) != 32 or (text is not None and text_sha256(text) != sha) or storable(row.reason or "") is False:
            raise ValueError("hash")
        if any(map(math.isinf, row.values)) or (row.reason is None and all(map(math.isnan, row.values))):
            raise ValueError("scores")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        known = entry.get("text_sha256") if isinstance(entry, Mapping) else None
        raise DetoxbenchError(f"'{path}' is damaged: the entry of the text {known} contradicts itself") from None
    return key, row


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
    for number, entry in enumerate(_jsonl(path)):
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


def read_generations(path: Path | str) -> list[str]:
    """The generated texts of a file, in order: a JSON string a line, or ``{"generations": [{"text": …}, …]}``, or
    ``{"text": …}``."""
    texts: list[str] = []
    for number, entry in enumerate(_jsonl(path)):
        if isinstance(entry, dict) and "generations" in entry:
            texts += _generations(entry, path, number)
        elif isinstance(entry, dict) and isinstance(entry.get("text"), str):
            texts.append(entry["text"])
        elif isinstance(entry, str):
            texts.append(entry)
        else:
            raise DetoxbenchError(f"'{path}', line {number + 1}: neither a text nor generations")
    return texts


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


def read_rows(path: Path | str) -> Iterable[Any]:
    """The rows of a Parquet file, by its ending, or the lines of a JSON lines file.

    Raises:
        DetoxbenchError: for a file that cannot be read, while it is.
    """
    return _parquet(path) if Path(path).suffix == ".parquet" else _jsonl(path)


def _parquet(path: Path | str) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=2000):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise DetoxbenchError(f"'{path}' cannot be read: {_first_line(error)}") from None


def _pair(entry: Any, name: str, path: Path | str, number: int) -> tuple[str, Response]:
    """A text of a row of PolygloToxicityPrompts, and the answer to it."""
    of = name.removesuffix("_perspective") if name != "perspective" else "text"
    if not isinstance(entry, Mapping) or not isinstance(entry.get(of), str):
        raise DetoxbenchError(f"'{path}': a row near {number + 1:,} has no text '{of}' beside '{name}'")
    return entry[of], _response(entry.get(name), path, number)


def _response(answer: Any, path: Path | str, number: int, error: str | None = None) -> Response:
    if answer is not None and not isinstance(answer, Mapping):
        raise DetoxbenchError(f"'{path}', line {number + 1}: not an answer of Perspective")
    return Response(answer or None, error)


def _generations(entry: Mapping[str, Any], path: Path | str, number: int) -> list[str]:
    found = entry["generations"] if isinstance(entry["generations"], list) else [None]
    texts = [one.get("text") if isinstance(one, Mapping) else one for one in found]
    if not all(isinstance(text, str) for text in texts):
        raise DetoxbenchError(f"'{path}', line {number + 1}: generations without a text")
    return [str(text) for text in texts]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _jsonl(path: Path | str) -> Iterable[Any]:
    try:
        with Path(path).open(encoding="utf-8") as file:
            for number, line in enumerate(file):
                if line.strip():
                    try:
                        yield parse_json(line)
                    except (ValueError, RecursionError):
                        raise DetoxbenchError(f"'{path}', line {number + 1}: not JSON") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DetoxbenchError(f"'{path}' cannot be read: {error}") from None


def is_export(path: Path | str) -> bool:
    """Whether ``export_parquet`` wrote that Parquet file."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return _FORMAT in (parquet.read_schema(path).metadata or {})
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise DetoxbenchError(f"'{path}' cannot be read: {_first_line(error)}") from None


def generation_groups(paths: Iterable[Path | str]) -> dict[bytes, object]:
    """sha256 of a generated text -> the prompt that it continues, of generation files; a text of several prompts
    belongs to the first."""
    owner: dict[bytes, object] = {}
    for path in paths:
        for number, entry in enumerate(_jsonl(path)):
            if not isinstance(entry, dict) or "generations" not in entry:
                raise DetoxbenchError(f"'{path}', line {number + 1}: no generations of a prompt")
            for text in _generations(entry, path, number):
                owner.setdefault(text_sha256(text), (str(path), number))
    return owner
