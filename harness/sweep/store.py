"""Artifacts shared between machines, at any URL that fsspec opens: ``file://``, ``s3://``, ``gs://``, ….

An artifact lies under a hash of everything that it was made from: ``DIGEST/TOKEN/…`` its files, and ``DIGEST.json``,
which is written last and names the token and every file's sha256. Who finds that marker finds a whole artifact: object
stores put one object at a time, and have no folders to rename. Of two that publish at once the later marker counts.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Any

from ...core.errors import DetoxbenchError, missing_extra
from ...core.files import is_inside
from ...core.parsing import parse_json

EXTRAS = {"s3fs": "s3", "gcsfs": "gs"}
_BLOCK = 1 << 22


def filesystem(url: str) -> tuple[Any, str]:
    """fsspec's file system of a URL or path, and the path in it.

    Raises:
        DetoxbenchError: for an unknown protocol, or one whose package is not installed.
    """
    import fsspec

    try:
        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        package = next((name for name in EXTRAS if name in str(error)), None)
        if package:
            raise missing_extra(package, EXTRAS[package], f"'{url}'") from None
        raise DetoxbenchError(f"'{url}' cannot be opened: {error}") from None
    except ValueError as error:
        raise DetoxbenchError(f"'{url}' is no URL that fsspec opens: {error}; use file://, s3:// or gs://") from None


_TOKEN = re.compile(r"[0-9a-f]{12}")
"""The name of the folder that holds an artifact's files."""


class Store:
    """A folder of artifacts by digest.

    Args:
        url: of the folder, or a path.
        cache: where artifacts of other machines are copied to.
    """

    def __init__(self, url: str | Path, cache: Path):
        self.url, self.cache = str(url), cache
        self.fs, self.root = filesystem(self.url)
        self.local = "file" in (self.fs.protocol if isinstance(self.fs.protocol, tuple) else (self.fs.protocol,))

    def find(self, digest: str) -> dict[str, Any] | None:
        """The marker of a whole artifact; None where there is none."""
        try:
            return _marker(parse_json(self.fs.cat_file(self._path(f"{digest}.json"))))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise DetoxbenchError(f"'{self._path(digest)}.json' cannot be read: {error}; remove it") from None

    def publish(self, digest: str, folder: Path) -> None:
        """Put a folder there; hidden files are left out. Who reads meanwhile finds the old one, or none."""
        token = uuid.uuid4().hex[:12]
        files = {}
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and not any(part.startswith(".") for part in Path(name).parts):
                target = self._path(digest, token, name)
                self.fs.makedirs(posixpath.dirname(target), exist_ok=True)
                self.fs.put_file(str(path), target)
                files[name] = _sha256(path)
        marker = json.dumps({"folder": token, "files": files}).encode()
        final = self._path(f"{digest}.json")
        if self.local:
            partial = f"{final}.{token}"
            Path(partial).write_bytes(marker)
            os.replace(partial, final)
        else:
            self.fs.pipe_file(final, marker)

    def fetch(self, digest: str) -> Path:
        """The artifact's folder on this machine; read only.

        Raises:
            DetoxbenchError: where it is not in the store, or a file is not what the marker says.
        """
        marker = self.find(digest)
        if marker is None:
            raise DetoxbenchError(f"'{self._path(digest)}' is not in the store")
        if self.local:
            return Path(self._path(digest, marker["folder"]))
        final = self.cache / f"{digest}-{marker['folder']}"
        if final.is_dir():
            return final
        self.cache.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=self.cache, prefix=f".{final.name}."))
        try:
            for name, expected in marker["files"].items():
                path = partial / name
                path.parent.mkdir(parents=True, exist_ok=True)
                self.fs.get_file(self._path(digest, marker["folder"], name), str(path))
                if _sha256(path) != expected:
                    raise DetoxbenchError(
                        f"'{self._path(digest)}', {name}: not what was published; remove the artifact"
                    )
            partial.chmod(0o755)
            try:
                os.replace(partial, final)
            except OSError:
                if not final.is_dir():  # else another process was first
                    raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return final

    def _path(self, *parts: str) -> str:
        return posixpath.join(self.root, *parts)


def _marker(found: Any) -> dict[str, Any]:
    """What somebody put into the store, if it names files within the artifact's own folder and nothing else.

    Raises:
        ValueError: for anything else.
    """
    folder, names = (found.get("folder"), found.get("files")) if isinstance(found, dict) else (None, None)
    if not (isinstance(folder, str) and _TOKEN.fullmatch(folder) and isinstance(names, dict)):
        raise ValueError("no marker of an artifact")
    for name, digest in names.items():
        if not (is_inside(name) and isinstance(digest, str)):
            raise ValueError(f"it names the file {name!r:.80}, which is none of the artifact's")
    return found


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
