"""Detoxification methods, a folder each: ``load_detoxified(pretrained, method, **arguments)``.

``detoxbench.methods()`` gives the cards of all of them: the folder's name is the function's too, and Python has one
attribute for both, so this module can be called.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .apply import load_detoxified
    from .card import Card
    from .retrieval.datastore import Datastore

__all__ = ["Datastore", "load_detoxified"]


def __getattr__(name: str) -> Any:
    """On first use, since torch and transformers take seconds to import."""
    if name == "load_detoxified":
        from .apply import load_detoxified

        return load_detoxified
    if name == "Datastore":
        from .retrieval.datastore import Datastore

        return Datastore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _Methods(ModuleType):
    def __call__(self) -> dict[str, Card]:
        """Every registered method with its card (``card.cards``)."""
        from .card import cards

        return cards()


sys.modules[__name__].__class__ = _Methods
