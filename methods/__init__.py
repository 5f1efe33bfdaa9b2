"""Detoxification methods, a folder each: ``load_detoxified(pretrained, method, **arguments)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .lm import load_detoxified
    from .retrieval.datastore import Datastore

__all__ = ["Datastore", "load_detoxified"]


def __getattr__(name: str) -> Any:
    """On first use, since torch and transformers take seconds to import."""
    if name == "load_detoxified":
        from .lm import load_detoxified

        return load_detoxified
    if name == "Datastore":
        from .retrieval.datastore import Datastore

        return Datastore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
