"""The base model, unchanged."""

from __future__ import annotations

from typing import ClassVar

from .. import base


class NoMethod:
    kind: ClassVar[str] = "none"
    Arguments: ClassVar[type[base.Arguments]] = base.Arguments
