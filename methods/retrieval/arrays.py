"""Two-dimensional arrays on disk that grow at their end: plain ``.npy`` files, read by memory map.

An append writes rows behind the last one, then the header, and counts only once the manifest names the new count:
interrupted at any point, the rows of the old manifest are still what they were.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...core.errors import DetoxbenchError

HEADER = 128
"""Bytes before the data; numpy pads its header to this, with room for any count."""
BLOCK = 1 << 25
"""Bytes read or written at once."""


def blocks(count: int, row_bytes: int) -> Iterator[slice]:
    """Slices of rows that cover an array, each small."""
    size = max(1, BLOCK // max(row_bytes, 1))
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _header(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    text = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + (HEADER - 10).to_bytes(2, "little") + text.ljust(HEADER - 11).encode() + b"\n"


def append(path: Path, rows: np.ndarray, dtype: str, count: int = 0) -> str:
    """Write rows behind the first ``count`` ones, which stay; anything behind those is dropped.

    Args:
        path: the file; made where there is none.
        rows: ``[new]`` or ``[new, dim]``, an array or memory map; converted block by block.
        dtype: of the file.
        count: rows that are there.

    Returns:
        The sha256 of the new rows' bytes.

    Raises:
        DetoxbenchError: for a number that is not finite in the file's precision, naming its row.
    """
    kind = np.dtype(dtype)
    shape = rows.shape[1:]
    row_bytes = kind.itemsize * int(np.prod(shape, dtype=np.int64))
    digest = hashlib.sha256()
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.truncate(HEADER + count * row_bytes)
        file.seek(HEADER + count * row_bytes)
        for block in blocks(len(rows), row_bytes):
            with np.errstate(over="ignore"):
                data = np.ascontiguousarray(rows[block], dtype=kind)
            if kind.kind == "f" and not np.isfinite(data).all():
                row = block.start + int((~np.isfinite(data)).any(axis=tuple(range(1, data.ndim))).argmax())
                raise DetoxbenchError(f"row {row} of {path.stem} is not a finite {dtype} (beyond 65504, or NaN)")
            raw = data.tobytes()
            digest.update(raw)
            file.write(raw)
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        file.write(_header(kind, (count + len(rows), *shape)))
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def open_rows(path: Path, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """The first ``shape[0]`` rows, by memory map.

    Raises:
        DetoxbenchError: where the file is shorter.
    """
    kind = np.dtype(dtype)
    needed = HEADER + kind.itemsize * int(np.prod(shape, dtype=np.int64))
    if path.stat().st_size < needed:
        raise DetoxbenchError(f"{path} is corrupted: {path.stat().st_size} bytes, the manifest says {needed}")
    return np.memmap(path, dtype=kind, mode="r", offset=HEADER, shape=shape)
