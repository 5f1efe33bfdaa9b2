"""What models are called on the site."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

CONTENT = "@sha256:"
"""Between a folder's name and the digest of what it held: see ``core.files``."""


def judges_itself(scorer: str, pretrained: str) -> bool:
    """Whether the scorer is the very model, asked as a judge (``judge:<url>,<model>``).

    >>> judges_itself("judge:http://localhost:8000/v1,Qwen/Qwen3-8B", "Qwen/Qwen3-8B")
    True
    """
    if not scorer.startswith("judge:"):
        return False
    return short_name(scorer.rpartition(",")[2]).lower() == short_name(pretrained).lower()


def short_name(name: str) -> str:
    """Of a model: a path's last folder, a hub name as it is."""
    looks_like_path = name.startswith(("/", ".", "~")) or name.count("/") > 1 or "\\" in name
    return PurePosixPath(name.replace("\\", "/")).name or name if looks_like_path else name


def without_content(names: Iterable[str]) -> Mapping[str, str]:
    """Name -> name without the digest of a folder's content, where that still tells it from all others.

    >>> without_content(["mine@sha256:0a", "yours@sha256:0b", "yours@sha256:0c"])["mine@sha256:0a"]
    'mine'
    """
    every = set(names)
    plain = {name: name.split(CONTENT)[0] for name in every}
    shared = [*plain.values()]
    return {name: short if short and shared.count(short) == 1 else name for name, short in plain.items()}
