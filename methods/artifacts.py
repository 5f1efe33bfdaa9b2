"""Artifacts on disk: a folder of files and a ``manifest.json`` with their sha256, written whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import DetoxbenchError
from ..core.files import is_inside, sha256, write_json
from ..core.parsing import parse_json

MANIFEST = "manifest.json"
SCHEMA = 1
HASHED_IN_PARTS = "datastore"
"""The kind whose files grow: it keeps the sha256 of each addition instead of ``files``."""
_STAMPS = ".verified.json"
_STAMP_ABOVE = 1 << 26
"""Bytes; larger files are hashed once and then known by size, time and inode."""


def write_manifest(folder: Path, kind: str, known: Mapping[str, str] | None = None, **facts: Any) -> dict[str, Any]:
    """Write the manifest of a finished folder: its kind, facts, and the sha256 of every file (some may be known).

    Whoever may read the folder may read its files: safetensors writes them for their owner alone.
    """
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(path.parent.stat().st_mode & 0o666)
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
    manifest = _load(folder)
    if manifest is None:
        raise DetoxbenchError(f"{folder} is no {what}: it has no {MANIFEST}")
    found, schema = manifest.get("kind"), manifest.get("schema")
    if not isinstance(found, str) or schema is None:
        raise _broken(folder, "it lacks 'kind' or 'schema'")
    if kind is not None and found != kind:
        raise DetoxbenchError(f"{folder} holds a {str(found).replace('_', ' ')}, not a {what}")
    if schema != SCHEMA:
        raise DetoxbenchError(f"{folder} has schema {schema}; this version reads {SCHEMA}: update detoxbench or refit")
    files = manifest.get("files", {})
    if not isinstance(files, dict) or not all(_is_entry(name, value) for name, value in files.items()):
        raise _broken(folder, "'files' must be names within the folder, each with its sha256")
    parts = manifest.get("parts", [])
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise _broken(folder, "'parts' must be a list of objects")
    for made in (manifest, *parts):
        if not _is_making(made.get("trained")):
            raise _broken(folder, "'trained' must be an object, and its scorer a name")
    return manifest


def ours(folder: Path) -> dict[str, Any] | None:
    """The manifest of a folder, if it has one and this project wrote it; None for a plain ``save_pretrained`` folder.

    Raises:
        DetoxbenchError: for one that cannot be read or is not whole, since nothing of the folder can be checked then;
            or of a newer schema.
    """
    manifest = _load(folder)
    if manifest is None or len({"schema", "kind", "files", "parts"} & manifest.keys()) < 2:
        return None  # of another program that calls a file so
    found = read(folder)
    if "files" not in found and found["kind"] != HASHED_IN_PARTS:
        raise _broken(folder, "it lacks 'files'")
    return found


def verified(folder: Path) -> dict[str, Any] | None:
    """``ours``, after comparing every file that it names with its sha256.

    Raises:
        DetoxbenchError: naming the manifest or the file that is broken, missing or changed.
    """
    manifest = ours(folder)
    if manifest is not None:
        verify(folder, manifest)
    return manifest


def _load(folder: Path) -> dict[str, Any] | None:
    """The content of a manifest; None where there is no such file."""
    try:
        manifest = parse_json((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise _broken(folder, str(error) or type(error).__name__) from error
    if not isinstance(manifest, dict):
        raise _broken(folder, f"it holds a {type(manifest).__name__} instead of an object")
    return manifest


def _broken(folder: Path, why: str) -> DetoxbenchError:
    return DetoxbenchError(
        f"{folder / MANIFEST} cannot be read: {why}; copy the artifact again or refit (of another program's file: "
        "move it elsewhere)"
    )


def _is_entry(name: str, value: Any) -> bool:
    """Whether this is a file within the folder, and a sha256."""
    return isinstance(value, str) and is_inside(name)


def _is_making(trained: Any) -> bool:
    """Whether this is what ``trained`` may say: nothing, or facts, among them the scorer that was learned from."""
    return trained is None or (isinstance(trained, dict) and isinstance(trained.get("scorer"), str | None))


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
            known = parse_json(self.path.read_text())
        except (OSError, ValueError):
            known = {}
        self.known: dict[str, Any] = known if isinstance(known, dict) else {}

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
