"""The base model, unchanged."""

from __future__ import annotations

from typing import ClassVar

from .. import base


class NoMethod(base.Method):
    """Nothing is changed: what every method is compared with."""

    kind: ClassVar[str] = "none"
    about = base.About(summary="The base model, unchanged.")
