"""Archives in and out as Parquet, to publish and to merge."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import DetoxbenchError
from ..files import replacing
from .archive import Key, Row, ScoreArchive, storable, text_sha256
from .published_files import first_line

ROW_GROUP = 50_000
"""Rows held in memory at a time."""

COLUMNS = ("scorer", "version", "attributes", "language", "text_sha256", "values", "reason", "scored_at", "text")
FORMAT = 1
"""Of the exports, counted up when their columns change."""
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


def is_export(path: Path | str) -> bool:
    """Whether ``export_parquet`` wrote that Parquet file."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return _FORMAT in (parquet.read_schema(path).metadata or {})
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise DetoxbenchError(f"'{path}' cannot be read: {first_line(error)}") from None


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
        raise DetoxbenchError(f"'{path}' cannot be read: {first_line(error)}") from None


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
