"""Settings of the fits of a combination: each method's own, as ``profs_count`` and ``rad_epochs``."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pydantic

from ..settings import Option, Settings, Switched

SHARED = ("seed",)
"""What is asked of every fit alike, where it is given without a method's name."""


def named(part: str, option: str) -> str:
    return f"{part}_{option}"


class CombinedSettings(Settings):
    """A field for each method, which holds its fit's settings."""

    parts: ClassVar[Mapping[str, type[Settings]]] = {}

    @classmethod
    def options(cls) -> dict[str, Option]:
        found: dict[str, Option] = {}
        for part, settings in cls.parts.items():
            for name, option in settings.options().items():
                paths = tuple((part, *path) for path in option.paths)
                found[named(part, name)] = Option(named(part, name), _switched(part, option), paths)
        for name in SHARED:
            having = {
                part: settings.options()[name] for part, settings in cls.parts.items() if name in settings.options()
            }
            if having:
                field = pydantic.fields.FieldInfo(
                    annotation=int | None, default=None, description=f"of {', '.join(having)} alike"
                )
                paths = tuple((part, *path) for part, option in having.items() for path in option.paths)
                found[name] = Option(name, field, paths)
        return found

    @classmethod
    def nested(cls, given: Mapping[str, Any], what: str = "setting") -> dict[str, Any]:
        """As ``Settings.nested``; a name that one method alone has needs no prefix."""
        apart: dict[str, dict[str, Any]] = {part: {} for part in cls.parts}
        rest: dict[str, Any] = {}
        for name, value in given.items():
            if name in SHARED and value is None:
                continue
            having = [part for part, settings in cls.parts.items() if name in settings.options()]
            start = next((part for part in cls.parts if name.startswith(named(part, ""))), None)
            if name in cls.parts and isinstance(value, Mapping):
                apart[name] |= value
            elif name in SHARED and having:
                for part in having:
                    apart[part].setdefault(name, value)
            elif start is not None:
                apart[start][name.removeprefix(named(start, ""))] = value
            elif len(having) == 1:
                apart[having[0]][name] = value
            else:
                rest[name] = value
        super().nested(rest, what)  # says which names there are
        return {part: cls.parts[part].nested(own, what) for part, own in apart.items()}

    def recorded(self) -> dict[str, Any]:
        return {part: getattr(self, part).recorded() for part in type(self).parts}


def combined(parts: Mapping[str, type[Settings]]) -> type[CombinedSettings]:
    """The class for these methods' settings."""
    fields: dict[str, Any] = {}
    for part, settings in parts.items():
        needed = any(field.is_required() for _, field in settings._leaves())
        fields[part] = (settings, ... if needed else settings())
    made = pydantic.create_model("Settings", __base__=CombinedSettings, **fields)
    made.parts = dict(parts)
    return made


def _switched(part: str, option: Option) -> Any:
    """The field, with the method's name before the flag that turns it on."""
    if option.marked(Switched) is None:
        return option.field
    field = copy.copy(option.field)
    field.metadata = [
        replace(one, flag=named(part, one.flag)) if isinstance(one, Switched) else one for one in field.metadata
    ]
    return field
