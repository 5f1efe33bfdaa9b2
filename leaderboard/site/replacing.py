"""A folder that is replaced as a whole: whoever looks, or kills, sees the old one or the new one."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from ...core.files import PARTIAL, WriteError

LOCK = ".lock"
"""In a folder that is being written, held by its writer: what a killed one left is known by it."""
_EXCHANGE, _HERE = 2, -100
"""Linux's ``RENAME_EXCHANGE`` and ``AT_FDCWD``."""
OLD = ".old"


@contextlib.contextmanager
def replaced_folder(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` to fill; it takes ``out``'s place when the context ends without an error.

    What writers that were killed left beside ``out`` goes first; an old folder that one of them had moved aside comes
    back. Folders of a writer that still runs stay.

    Raises:
        WriteError: naming ``out`` and the cause; nothing partial is left.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        clean(out)
        partial = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}{PARTIAL}"))
        lock = FileLock(partial / LOCK)
        try:
            with lock:
                yield partial
                partial.chmod(0o777 & ~_umask())
                (partial / LOCK).unlink(missing_ok=True)
                old = _put(partial, out)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except WriteError:
        raise
    except OSError as error:
        raise WriteError(f"cannot write '{out}': {error.strerror or error}") from error


def clean(out: Path) -> None:
    """Remove what killed writers of ``out`` left beside it."""
    for left in sorted(out.parent.glob(f".{out.name.replace('[', '[[]')}{PARTIAL}*")):
        if left.name.endswith(OLD):
            if not out.exists():
                left.rename(out)
                continue
        elif _is_held(left):
            continue
        shutil.rmtree(left, ignore_errors=True)


def _is_held(folder: Path) -> bool:
    lock = FileLock(folder / LOCK)
    try:
        with lock.acquire(timeout=0):
            return False
    except (Timeout, OSError):
        return True


def _put(partial: Path, out: Path) -> Path:
    """The new folder to its place at once; returns where the old one is now."""
    if not out.exists() or not any(out.iterdir()):
        os.replace(partial, out)
        return partial
    if _exchange(partial, out):
        return partial
    old = partial.with_name(partial.name + OLD)
    out.rename(old)
    try:
        partial.rename(out)
    except OSError:
        old.rename(out)
        raise
    return old


def _exchange(one: Path, other: Path) -> bool:
    """Both names exchanged in one step, where the system and the file system can (Linux 3.15)."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return rename is not None and not rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
