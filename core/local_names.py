"""What results call things that lie on this machine: by their last part and what is in them, never by their path.

Two machines that keep one model in different folders measure the same thing, and a published record says nothing of
whose machine it came from.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .files import fingerprint, local_name, sha256

SPEC = re.compile(r"([a-z_]+):(?!//)([^,]+)(.*)", re.DOTALL)
"""A scorer by name, argument and options: ``hf:folder,label=toxic``."""
JOINED = ";"
"""Between folders of a list in one argument."""
_LONGEST = 4096


def named(value: Any) -> Any:
    """A value with every folder and file of this machine in it called by its content; anything else as it is.

    >>> named({"alpha": 2.0, "expert": "owner/model"})
    {'alpha': 2.0, 'expert': 'owner/model'}
    """
    if isinstance(value, Mapping):
        return {name: named(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [named(one) for one in value]
    if not isinstance(value, str | os.PathLike):
        return value
    text = str(value)
    if JOINED in text:
        return JOINED.join(map(named, text.split(JOINED)))
    if (spec := SPEC.fullmatch(text)) is not None:
        return f"{spec[1]}:{named(spec[2])}{spec[3]}"
    path = _path(text)
    return local_name(path, digest(path)) if path is not None else value


def _path(text: str) -> Path | None:
    if not text or len(text) > _LONGEST or "\n" in text:
        return None
    try:
        path = Path(text).expanduser()
        if os.sep in text or text.startswith((".", "~")):
            return path if path.exists() else None
        # A name alone may be a hub's (``gpt2``), a word, or a folder here, which transformers takes before the hub's.
        return path if path.is_dir() and (any(path.glob("*.json")) or any(path.glob("*/*.json"))) else None
    except (OSError, RuntimeError, ValueError):  # no name of a file: too long, of no home folder, of impossible signs
        return None


def digest(path: Path) -> str:
    """sha256 of a file; of a model's folder that of its weights, of another that of its files, cards left out."""
    found = [path] if path.is_file() else [file for file in sorted(path.rglob("*")) if file.is_file()]
    return _digest(path, tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in found))


@functools.lru_cache(maxsize=64)
def _digest(path: Path, files: tuple[tuple[Path, int, int], ...]) -> str:
    """As long as sizes and times stay, once a process."""
    if path.is_file():
        return sha256(path)
    if (path / "config.json").is_file() and any(path.glob("*.safetensors")):
        from .fluency import weights_sha256

        return weights_sha256(path)
    named_files = {file.relative_to(path): file for file, _, _ in files if file.suffix != ".md"}
    kept = {name: file for name, file in named_files.items() if not any(part.startswith(".") for part in name.parts)}
    return fingerprint({name.as_posix(): sha256(file) for name, file in kept.items()})
