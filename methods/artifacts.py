"""Artifacts on disk: a folder of files and a ``manifest.json`` with their sha256, written whole or not at all."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import DetoxbenchError
from ..core.files import sha256, write_json

MANIFEST = "manifest.json"
SCHEMA = 1
_STAMPS = ".verified.json"
_STAMP_ABOVE = 1 << 26
"""Bytes; larger files are hashed once and then known by size, time and inode."""


def write_manifest(folder: Path, kind: str, known: Mapping[str, str] | None = None, **facts: Any) -> dict[str, Any]:
    """Write the manifest of a finished folder: its kind, facts, and the sha256 of every file (some may be known)."""
    files = {
        str(path.relative_to(folder)): (known or {}).get(path.name) or sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (MANIFEST, _STAMPS)
    }
    manifest = {"schema": SCHEMA, "kind": kind, **facts, "files": files}
    write_json(folder / MANIFEST, manifest)
    return manifest


def read(folder: str | Path, kind: str | None = None) -> dict[str, Any]:
    """The manifest of an artifact.

    Raises:
        DetoxbenchError: where there is none, or it is unreadable, of another kind or of a newer schema.
    """
    folder = Path(folder)
    what = (kind or "artifact").replace("_", " ")
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        found, schema = manifest.get("kind"), manifest["schema"]
    except FileNotFoundError:
        raise DetoxbenchError(f"{folder} is no {what}: it has no {MANIFEST}") from None
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise DetoxbenchError(f"{folder / MANIFEST} cannot be read: {error}") from error
    if kind is not None and found != kind:
        raise DetoxbenchError(f"{folder} holds a {str(found).replace('_', ' ')}, not a {what}")
    if schema != SCHEMA:
        raise DetoxbenchError(f"{folder} has schema {schema}; this version reads {SCHEMA}: update detoxbench or refit")
    return manifest


def ours(folder: Path) -> dict[str, Any] | None:
    """The manifest of a folder, if it has one and this project wrote it.

    Raises:
        DetoxbenchError: for one of a newer schema.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        return None
    return read(folder) if isinstance(manifest, dict) and {"schema", "kind", "files"} <= manifest.keys() else None


def verify(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Compare every file with its sha256.

    Raises:
        DetoxbenchError: for a missing or changed file, naming it.
    """
    checked = Stamps(folder)
    for name, expected in manifest.get("files", {}).items():
        path = folder / name
        exists(path)
        checked.run(path, expected, lambda path=path, expected=expected: same(path, expected, sha256(path)))
    checked.save()


def exists(path: Path) -> None:
    """Refuse a file that is not there."""
    if not path.is_file():
        raise DetoxbenchError(f"{path} is missing: the artifact is incomplete; copy it again or refit")


def same(path: Path, expected: str, found: str) -> None:
    """Refuse a file that is not what the manifest says."""
    if found != expected:
        raise DetoxbenchError(
            f"{path} is corrupted: its sha256 is {found[:12]}…, the manifest says {expected[:12]}…; "
            "copy it again or refit"
        )


class Stamps:
    """Large files that were verified before, by size, time and inode: hashing 100 GB takes minutes.

    Args:
        folder: the artifact's; the stamps lie beside its manifest where that can be written.
    """

    def __init__(self, folder: Path):
        self.path = folder / _STAMPS
        self.changed = False
        try:
            self.known = json.loads(self.path.read_text())
        except (OSError, ValueError):
            self.known = {}

    def run(self, path: Path, expected: str, check: Any) -> None:
        """Call ``check`` unless this file passed it in its present state."""
        state = path.stat()
        stamp = [state.st_size, state.st_mtime_ns, state.st_ino, expected]
        large = state.st_size > _STAMP_ABOVE
        if large and self.known.get(path.name) == stamp:
            return
        check()
        if large:
            self.known[path.name], self.changed = stamp, True

    def save(self) -> None:
        if self.changed:
            with contextlib.suppress(OSError):
                write_json(self.path, self.known)
