"""Where artifacts that are fitted by themselves are kept."""

from __future__ import annotations

import os
from pathlib import Path

CACHE = "DETOXBENCH_CACHE"


def cache_folder() -> Path:
    """``DETOXBENCH_CACHE``, else ``~/.cache/detoxbench``."""
    return Path(os.environ.get(CACHE) or Path.home() / ".cache" / "detoxbench").expanduser()
