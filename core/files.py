"""Files that appear whole or not at all, content hashes, and names that are safe as part of a path."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from .errors import DetoxbenchError

PARTIAL = ".partial-"
"""Begins the name of what is being written; what a killed process leaves behind is known by it."""
LONGEST_NAME = 160
"""UTF-8 bytes of a name that ``safe_name`` keeps; file systems allow 255, and names are put together."""
FORGOTTEN = 7 * 86_400
"""Seconds after which what a writer elsewhere left is taken to be left for good."""
_BLOCK = 1 << 22
_PARTIAL = re.compile(rf"{re.escape(PARTIAL)}([0-9a-f]{{8}})-([0-9]+)-[0-9a-f]{{8}}$")
_HASHED = re.compile(r"-[0-9a-f]{10}$")
_UNSAFE = re.compile(r"[^\w.+=@-]+")


class WriteError(DetoxbenchError, OSError):
    """A file could not be written: a full or read-only disk, a folder without permission, a name too long."""


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """An ``OSError`` within becomes one line with the path and the cause."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        raise WriteError(f"cannot write '{path}': {error.strerror or error}") from error


@cache
def _machine() -> str:
    """Where process numbers are what they are here: this machine since it started, and this container."""
    parts = [platform.node()]
    for source, read in (("/proc/sys/kernel/random/boot_id", Path.read_text), ("/proc/self/ns/pid", os.readlink)):
        with contextlib.suppress(OSError):
            parts.append(str(read(Path(source))))
    return sha256_text(" ".join(parts))[:8]


def _partial_name() -> str:
    return f"{PARTIAL}{_machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


@cache
def _clear(folder: Path) -> None:
    """Remove what killed writers left in a folder; looked for once in a process. Those that still run keep theirs."""
    with contextlib.suppress(OSError):
        for left in folder.iterdir():
            match = _PARTIAL.search(left.name)
            if match is not None and _is_left(left, *match.groups()):
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink()


def _is_left(partial: Path, machine: str, process: str) -> bool:
    if machine != _machine() or os.name != "posix":
        return time.time() - partial.stat().st_mtime > FORGOTTEN
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; it replaces ``path`` at once when the context ends without an error.

    The folder is made if need be, and what killed writers left in it goes. Readers see the old file or the new one; the
    umask decides who may read it.

    Raises:
        WriteError: naming ``path`` and the cause; nothing partial is left.
    """
    partial = path.with_name(_partial_name())
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear(path.parent)
        try:
            yield partial
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """The folder and those above it.

    Raises:
        WriteError: naming it and the cause.
    """
    with _explained(path):
        path.mkdir(parents=True, exist_ok=True)


def write_text(path: Path, parts: str | Iterable[str]) -> None:
    """A UTF-8 file of a text or of its parts, line ends as they are; see ``replacing``."""
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines([parts] if isinstance(parts, str) else parts)


def write_bytes(path: Path, content: bytes) -> None:
    """A file of some bytes; see ``replacing``."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_json(path: Path, content: Any, indent: int | None = 1) -> None:
    """A JSON file in ASCII, so that lone surrogates are written too; NaN is refused, for strict readers know none.

    Raises:
        WriteError: see ``replacing``.
        ValueError: for NaN or an infinite number.
    """
    write_text(path, [json.dumps(content, indent=indent, allow_nan=False), "\n"])


def write_lines(path: Path, rows: Iterable[Any]) -> None:
    """Rows as JSON lines; lone surrogates are escaped. See ``replacing``."""

    def line(row: Any) -> str:
        text = json.dumps(row, ensure_ascii=False, allow_nan=False)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            return json.dumps(row, allow_nan=False)
        return text

    write_text(path, (line(row) + "\n" for row in rows))


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder beside ``path`` to fill; it becomes ``path`` when the context ends without an error.

    Raises:
        DetoxbenchError: where ``path`` holds something already.
        WriteError: naming ``path`` and the cause; nothing partial is left.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise DetoxbenchError(f"{path} exists already: choose another folder, or remove it first")
    partial = path.with_name(f".{path.name}{_partial_name()}")
    with _explained(path):
        partial.mkdir(parents=True)
        _clear(path.parent)
        try:
            yield partial
            os.replace(partial, path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def sha256(path: Path, start: int = 0, length: int | None = None) -> str:
    """Of a file, or of ``length`` bytes of it from ``start``: 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(start)
        left = path.stat().st_size - start if length is None else length
        while left > 0 and (block := file.read(min(_BLOCK, left))):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()


def sha256_text(text: str) -> str:
    """Of a text in UTF-8, lone surrogates included: 64 hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def fingerprint(content: Any) -> str:
    """sha256 of anything that JSON can hold, whatever the order of its keys; other objects count as their text."""
    return sha256_text(json.dumps(content, sort_keys=True, default=str))


def local_name(path: Path, digest: str) -> str:
    """A folder or file as two machines call it: its last part, and what is in it."""
    return f"{path.resolve().name}@sha256:{digest[:12]}"


def possible(name: str | Path) -> bool:
    """Whether a file may be called so at all; asking the system for others is an error, not an answer."""
    text = os.fspath(name)
    try:
        encoded = os.fsencode(text)
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return b"\0" not in encoded and len(encoded) < 4096 and all(len(part) < 256 for part in encoded.split(b"/"))


def is_inside(name: str) -> bool:
    """Whether a path that a file names, with slashes, is one within the folder that it is about.

    >>> is_inside("a/b.json"), is_inside("../b"), is_inside("/etc/passwd"), is_inside("C:\\\\x")
    (True, False, False, False)
    """
    parts = name.split("/")
    return all(part not in ("", ".", "..") and "\\" not in part and ":" not in part and part.isprintable()
               for part in parts)  # fmt: skip


def safe_name(text: str) -> str:
    """A text as one part of a path: letters, digits and ``_ . + = @ -``, never empty, hidden, ``..`` or too long.

    Every name that comes from a file (language, task, run, model, method, metric) passes here before it is part of a
    path. Different texts get different names: what was changed or cut is told apart by a piece of its hash.

    >>> safe_name("rtp_lx_zh-Hans"), safe_name("../../etc/passwd")
    ('rtp_lx_zh-Hans', 'etc_passwd-3754d6cb3a')
    """
    printable = text.encode("utf-8", "replace").decode()
    plain = _UNSAFE.sub("_", printable).strip("._").encode()[:LONGEST_NAME].decode("utf-8", "ignore")
    # A text that looks like one with a hash could otherwise be made to meet another's name.
    if plain and plain == text and not _HASHED.search(plain):
        return plain
    return f"{plain or 'unnamed'}-{sha256_text(text)[:10]}"
