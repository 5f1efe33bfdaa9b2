"""Rows of prompt files in any common format, and prompts from them; a wrong row is counted and located, never dropped
without a word."""

from __future__ import annotations

import csv
import gzip
import io
import logging
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast

from ...core.errors import DetoxbenchError
from ...core.parsing import parse_json
from ...core.records import Prompt

logger = logging.getLogger(__name__)

SHOWN = 5
"""Line numbers listed of the rows that are wrong."""

LONGEST_LINE = 2**28
"""Characters: a few kilobytes of gzip can stand for a line that no memory holds."""


@dataclass(frozen=True)
class Row:
    """One row: its number in the file (a line's for text, counted from one), and its content or what is wrong."""

    number: int
    value: Any = None
    error: str | None = None


def suffix(path: Path) -> str:
    """The format's suffix, in lower case, without ``.gz``."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def read(path: Path, what: str) -> Iterator[Row]:
    """The rows of a JSONL, JSON, CSV, TSV or Parquet file; text may be gzipped.

    Args:
        path: the file.
        what: how messages name it, such as ``prompts='my.jsonl'``.

    Raises:
        DetoxbenchError: if the file as a whole cannot be read.
    """
    if not path.is_file():
        raise DetoxbenchError(f"{what}: there is no such file")
    try:
        if suffix(path) == ".parquet":
            yield from _parquet(path)
            return
        opener = gzip.open if path.name.lower().endswith(".gz") else open
        with opener(path, "rb") as file:
            yield from text_rows(cast("IO[bytes]", file), suffix(path))
    except UnicodeDecodeError as error:
        raise DetoxbenchError(f"{what}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    except (OSError, EOFError, csv.Error, zlib.error) as error:
        cause = " ".join(str(error).split())
        raise DetoxbenchError(f"{what}: cannot be read ({type(error).__name__}: {cause})") from None


def text_rows(file: IO[bytes], form: str) -> Iterator[Row]:
    """The rows of an open text file of that suffix; anything but ``.csv`` and ``.tsv`` is JSON."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="" if form in (".csv", ".tsv") else "\n")
    if form in (".csv", ".tsv"):
        yield from _csv(text, "\t" if form == ".tsv" else ",")
    else:
        yield from _json(text)


def _lines(file: IO[str]) -> Iterator[str]:
    """The lines of a text, none of them without bounds."""
    for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE + 1), ""), start=1):
        if len(line) > LONGEST_LINE:
            raise OSError(f"line {number} has more than {LONGEST_LINE:,} characters")
        yield line


def _csv(file: IO[str], delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_LINE)  # a prompt may be longer than csv's default of 128 kB, and have lines
    reader = csv.reader(_lines(file), delimiter=delimiter)
    header = next(reader, None)
    if header is None:
        return
    again = sorted(name for name, times in Counter(header).items() if times > 1)
    if again:
        raise csv.Error(f"two columns have the name '{again[0]}'")
    for number, cells in enumerate(reader, start=2):
        if not cells:
            continue
        if len(cells) != len(header):
            yield Row(number, error=f"{len(cells)} cells under {len(header)} columns")
        else:
            # CSV knows no null: an empty cell is one.
            yield Row(number, {name: cell if cell else None for name, cell in zip(header, cells, strict=True)})


def _json(file: IO[str]) -> Iterator[Row]:
    """JSON Lines, or one JSON array of rows."""
    for number, line in enumerate(_lines(file), start=1):
        if not line.strip():
            continue
        if number == 1 and line.lstrip().startswith("["):
            yield from _json_array(line, file)
            return
        try:
            yield Row(number, parse_json(line))
        except (ValueError, RecursionError) as error:
            yield Row(number, error=f"not JSON ({error})")


def _json_array(first: str, file: IO[str]) -> Iterator[Row]:
    whole = first + file.read(LONGEST_LINE)
    if len(whole) >= LONGEST_LINE:
        raise OSError(f"an array of more than {LONGEST_LINE:,} characters: write one row a line (JSON Lines)")
    try:
        rows = parse_json(whole)
    except (ValueError, RecursionError) as error:
        # Rows that are themselves arrays, one a line, are JSON Lines of the wrong kind: say so of each.
        lines = [line for line in whole.splitlines() if line.strip()]
        if len(lines) < 2:
            yield Row(1, error=f"not JSON ({error})")
        else:
            yield from (Row(number, error="not a JSON object") for number, _ in enumerate(lines, start=1))
        return
    if all(not isinstance(row, Mapping) for row in rows) and "\n" not in whole.strip():
        yield Row(1, error="not a JSON object")
        return
    yield from (Row(number, row) for number, row in enumerate(rows, start=1))


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        number = 0
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=1024):
            for value in batch.to_pylist():
                number += 1
                yield Row(number, value)
    except (pyarrow.ArrowException, ValueError, OverflowError) as error:  # values out of bounds for Python, too
        raise OSError(f"not a Parquet file: {error}") from None


def collect(
    rows: Iterable[Row],
    parse: Callable[[Any, int], Prompt | None],
    what: str,
    needs: str,
    bad_rows: Literal["error", "skip"] = "error",
) -> tuple[list[Prompt], int]:
    """The prompts of the rows.

    Args:
        rows: of a file.
        parse: row and its number -> prompt; None for a row of another language or subset; ``ValueError`` says what is
            wrong with the row.
        what: how messages name the file.
        needs: what a row needs, one sentence.
        bad_rows: ``skip`` leaves wrong rows out, with a warning.

    Returns:
        The prompts, and how many rows were skipped.

    Raises:
        DetoxbenchError: if rows are wrong: how many, and the first ones' numbers.
    """
    found: list[Prompt] = []
    wrong: list[tuple[int, str]] = []
    total = 0
    for row in rows:
        total += 1
        try:
            if row.error is not None:
                raise ValueError(row.error)
            prompt = parse(row.value, row.number)
            if prompt is not None:
                found.append(prompt)
        except ValueError as error:
            wrong.append((row.number, str(error)))
    if wrong:
        lines = ", ".join(str(number) for number, _ in wrong[:SHOWN]) + (", …" if len(wrong) > SHOWN else "")
        number, reason = wrong[0]
        message = f"{what}: {len(wrong)} of {total} rows are wrong (lines {lines}); line {number}: {reason}. {needs}"
        if bad_rows == "error" or len(wrong) == total:
            raise DetoxbenchError(f'{message} To leave such rows out: --metadata \'{{"bad_rows": "skip"}}\'.')
        logger.warning(f"{message} They are left out.")
    return found, len(wrong)
