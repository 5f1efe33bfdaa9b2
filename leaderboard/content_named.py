"""Folders of records that are written once and never changed: a file's name is a digest of its content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..core.errors import DetoxbenchError
from ..core.files import make_folder, write_text


def digest(content: bytes) -> str:
    """Of a record's file, whatever its line ends: sixteen hexadecimal digits."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()[:16]


def checked(path: Path, content: bytes) -> str:
    """The digest of a file's content, which must be its name.

    Raises:
        DetoxbenchError: if it is another.
    """
    found = digest(content)
    if found != path.stem:
        raise DetoxbenchError(
            f"'{path}': its content's digest is {found}: it was changed or renamed after it was written; records are "
            "only ever added, so restore it or remove it"
        )
    return found


def append(folder: Path, texts: Iterable[tuple[str, str]]) -> list[Path]:
    """Write those files that the folder does not have yet; existing ones are never touched.

    Args:
        folder: made if need be.
        texts: digest and text of each record.

    Raises:
        WriteError: naming the file and the cause.
    """
    make_folder(folder)
    written = []
    for name, text in texts:
        path = folder / f"{name}.json"
        if not path.exists():
            write_text(path, text)
            written.append(path)
    return written


def strings(value: Any) -> Iterator[str]:
    """Every text in a record's content, keys among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from strings(key)
            yield from strings(inner)
    elif isinstance(value, Iterable):
        for inner in value:
            yield from strings(inner)
