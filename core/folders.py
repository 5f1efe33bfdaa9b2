"""Where things of this user are kept: what may be made again in a cache, what nobody can ask for again as data."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import DetoxbenchError

HOME = "DETOXBENCH_HOME"
"""Environment variable: one folder for everything, such as one on a disk of this machine where the home folder is on
the network."""
CACHE = "DETOXBENCH_CACHE"
"""Environment variable: the folder of caches alone."""


def expanded(path: Path | str) -> Path:
    """The path with ``~`` and ``~user`` replaced.

    Raises:
        DetoxbenchError: where there is no such home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise DetoxbenchError(
            f"'{path}': this user has no home folder: set HOME, or {HOME} to a folder to keep things in"
        ) from None


def cache_folder() -> Path:
    """``$DETOXBENCH_CACHE``, else ``cache`` in ``$DETOXBENCH_HOME``, else ``~/.cache/detoxbench``.

    Raises:
        DetoxbenchError: where none of them is known.
    """
    if given := os.environ.get(CACHE):
        return expanded(given)
    if home := os.environ.get(HOME):
        return expanded(home) / "cache"
    return expanded("~/.cache/detoxbench")


def data_folder() -> Path:
    """``$DETOXBENCH_HOME``, else ``detoxbench`` in ``$XDG_DATA_HOME``, else ``~/.local/share/detoxbench``.

    Raises:
        DetoxbenchError: where none of them is known.
    """
    if home := os.environ.get(HOME):
        return expanded(home)
    if data := os.environ.get("XDG_DATA_HOME"):
        return expanded(data) / "detoxbench"
    return expanded("~/.local/share/detoxbench")
