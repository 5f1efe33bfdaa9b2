"""What a cell depends on, by content: a file by its sha256, a folder by those of its files, wherever they lie."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.files import write_text
from ...core.local_names import SPEC
from ...core.mini import model_folder
from ...core.parsing import parse_json

_BLOCK = 1 << 22
_LONGEST = 4096
_SUFFIXES = (".jsonl", ".json", ".parquet", ".csv", ".tsv", ".txt", ".yaml")


def is_url(value: Any) -> bool:
    """Whether a text names a place that fsspec opens."""
    return isinstance(value, str) and "://" in value and not value.startswith(("http://", "https://"))


def resolved(value: Any, root: Path) -> Any:
    """A path that exists, beside the YAML file or from here, as an absolute one; anything else as it is.

    The path may stand in a scorer's specification: ``ngram:folder``, ``hf:folder,label=toxic``.
    """
    if isinstance(value, list | tuple):
        return [resolved(one, root) for one in value]
    if isinstance(value, str) and (spec := SPEC.fullmatch(value)) is not None:
        return f"{spec[1]}:{resolved(spec[2], root)}{spec[3]}"
    if not isinstance(value, str) or not value or len(value) > _LONGEST or is_url(value):
        return value
    if not (value.startswith((".", "~", os.sep)) or os.sep in value or value.endswith(_SUFFIXES)):
        return value
    for path in (root / Path(value).expanduser(), Path(value).expanduser()):
        try:
            if path.exists():
                return str(path.resolve())
        except OSError:  # too long for a name, or of signs that no name can have: a text
            return value
    return value


class Contents:
    """Hashes files, and remembers those of large ones by size, time and inode.

    Args:
        memory: JSON file; None remembers nothing.
    """

    def __init__(self, memory: Path | None = None):
        self.memory, self._changed = memory, False
        try:
            self._known = parse_json(memory.read_text(encoding="utf-8")) if memory else {}
        except (OSError, ValueError):
            self._known = {}

    def of(self, value: Any) -> Any:
        """A value with every file and folder in it replaced by what is in it."""
        if isinstance(value, Mapping):
            return {str(name): self.of(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.of(one) for one in value]
        if isinstance(value, str) and (spec := SPEC.fullmatch(value)) is not None and os.path.isabs(spec[2]):
            return [spec[1], self.of(spec[2]), spec[3]]
        if not isinstance(value, str) or not os.path.isabs(value) or len(value) > _LONGEST:
            return value
        path = Path(value)
        try:
            return self._file(path) if path.is_file() else self._folder(path) if path.is_dir() else value
        except OSError:
            return value

    def model(self, name: str) -> Any:
        """A model: the files of its folder, or its name on the hub."""
        folder = model_folder(name)
        return self.of(str(Path(folder).resolve()) if Path(folder).is_dir() else name)

    def save(self) -> None:
        """Keep what was hashed."""
        if self.memory and self._changed:
            write_text(self.memory, [json.dumps(self._known)])

    def _folder(self, path: Path) -> dict[str, Any]:
        # A card says nothing of what a model does; hidden files are stamps and locks.
        files = sorted(one for one in path.rglob("*") if one.is_file() and one.suffix != ".md")
        named = {one.relative_to(path).as_posix(): one for one in files}
        kept = {name: one for name, one in named.items() if not any(part.startswith(".") for part in Path(name).parts)}
        return {"files": {name: self._file(one)["sha256"] for name, one in kept.items()}}

    def _file(self, path: Path) -> dict[str, str]:
        state = path.stat()
        stamp = [state.st_size, state.st_mtime_ns, state.st_ino]
        known = self._known.get(str(path))
        if known and known[0] == stamp:
            return {"sha256": known[1]}
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        self._known[str(path)], self._changed = [stamp, digest.hexdigest()], True
        return {"sha256": digest.hexdigest()}
