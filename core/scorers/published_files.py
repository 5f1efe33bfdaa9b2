"""Rows of files that others have published: JSON lines, Parquet, generations; what is wrong is said with its line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import DetoxbenchError
from ..parsing import parse_json
from .archive import text_sha256


def read_rows(path: Path | str) -> Iterable[Any]:
    """The rows of a Parquet file, by its ending, or the lines of a JSON lines file.

    Raises:
        DetoxbenchError: for a file that cannot be read, while it is.
    """
    return _parquet(path) if Path(path).suffix == ".parquet" else read_lines(path)


def _parquet(path: Path | str) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=2000):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise DetoxbenchError(f"'{path}' cannot be read: {first_line(error)}") from None


def read_lines(path: Path | str) -> Iterator[Any]:
    """What the lines of a JSON lines file hold; empty lines are passed over.

    Raises:
        DetoxbenchError: for a file that cannot be read, or a line that is not JSON.
    """
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


def read_generations(path: Path | str) -> list[str]:
    """The generated texts of a file, in order: a JSON string a line, or ``{"generations": [{"text": …}, …]}``, or
    ``{"text": …}``."""
    texts: list[str] = []
    for number, entry in enumerate(read_lines(path)):
        if isinstance(entry, dict) and "generations" in entry:
            texts += _generations(entry, path, number)
        elif isinstance(entry, dict) and isinstance(entry.get("text"), str):
            texts.append(entry["text"])
        elif isinstance(entry, str):
            texts.append(entry)
        else:
            raise DetoxbenchError(f"'{path}', line {number + 1}: neither a text nor generations")
    return texts


def _generations(entry: Mapping[str, Any], path: Path | str, number: int) -> list[str]:
    found = entry["generations"] if isinstance(entry["generations"], list) else [None]
    texts = [one.get("text") if isinstance(one, Mapping) else one for one in found]
    if not all(isinstance(text, str) for text in texts):
        raise DetoxbenchError(f"'{path}', line {number + 1}: generations without a text")
    return [str(text) for text in texts]


def generation_groups(paths: Iterable[Path | str]) -> dict[bytes, object]:
    """sha256 of a generated text -> the prompt that it continues, of generation files; a text of several prompts
    belongs to the first."""
    owner: dict[bytes, object] = {}
    for path in paths:
        for number, entry in enumerate(read_lines(path)):
            if not isinstance(entry, dict) or "generations" not in entry:
                raise DetoxbenchError(f"'{path}', line {number + 1}: no generations of a prompt")
            for text in _generations(entry, path, number):
                owner.setdefault(text_sha256(text), (str(path), number))
    return owner


def first_line(error: Exception) -> str:
    """Of an error's text; its kind where it has none."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
