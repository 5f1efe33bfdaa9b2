"""Settings of a fit or an importer: a pydantic model whose fields are the command's options, description and bounds.

A field's ``Annotated`` metadata may say more: ``Named`` another name of its option, ``Switched`` a flag that turns it
on, ``Aside`` that the artifact does not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import annotated_types
import pydantic
from pydantic.fields import FieldInfo

from ..core.errors import DetoxbenchError, shown, unknown

_BOUNDS = (
    (annotated_types.Gt, "gt", "above {}"),
    (annotated_types.Ge, "ge", "at least {}"),
    (annotated_types.Lt, "lt", "below {}"),
    (annotated_types.Le, "le", "at most {}"),
    (annotated_types.MinLen, "min_length", "at least {} long"),
    (annotated_types.MaxLen, "max_length", "at most {} long"),
)


@dataclass(frozen=True)
class Named:
    """The option has another name than the field."""

    option: str


@dataclass(frozen=True)
class Switched:
    """Off by default; a flag turns it on with a value, which the option named like the field replaces.

    Args:
        flag: name of the flag.
        value: with the flag alone.
        help: of the flag.
    """

    flag: str
    value: Any
    help: str


@dataclass(frozen=True)
class Aside:
    """The artifact does not depend on it: it is no part of what the artifact is known by.

    Args:
        command: it is of the command alone; sweeps and studies do not have it.
    """

    command: bool = False


@dataclass(frozen=True)
class Option:
    """A field as an option of a command.

    Args:
        name: of the option, with ``_`` for ``-``.
        field: its description, annotation and default.
        paths: where its value goes: names of fields, an outer one's first.
    """

    name: str
    field: FieldInfo
    paths: tuple[tuple[str, ...], ...]

    @property
    def help(self) -> str:
        """Description and bounds."""
        text, limits = self.field.description or "", bounds(self.field)
        return f"{text} ({limits})" if limits else text

    def marked(self, kind: type) -> Any:
        """What its metadata says of a kind; None if nothing."""
        return next((one for one in self.field.metadata if isinstance(one, kind)), None)


class Settings(pydantic.BaseModel):
    """Checked when made; frozen.

    Raises:
        DetoxbenchError: for a value out of bounds or a name that is no field, in one line.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())

    def __init__(self, **given: Any):
        try:
            super().__init__(**given)
        except pydantic.ValidationError as error:
            raise _mistake(type(self), error) from None

    def replaced(self, **changes: Any) -> Any:
        """Other values for some fields, checked."""
        return type(self)(**{**self.model_dump(), **changes})

    def recorded(self) -> dict[str, Any]:
        """All that an artifact made with these settings depends on."""
        aside = {
            name for name, field in type(self).model_fields.items() if any(isinstance(m, Aside) for m in field.metadata)
        }
        return self.model_dump(mode="json", exclude=aside)

    @classmethod
    def options(cls) -> dict[str, Option]:
        """Name -> option; a nested model's fields are options too, and fields of one name are one option."""
        found: dict[str, Option] = {}
        for path, field in cls._leaves():
            other = next((one.option for one in field.metadata if isinstance(one, Named)), path[-1])
            if other in found:
                known = found[other]
                found[other] = Option(other, known.field, (*known.paths, path))
            else:
                found[other] = Option(other, field, (path,))
        return found

    @classmethod
    def nested(cls, given: Mapping[str, Any], what: str = "setting") -> dict[str, Any]:
        """Values by names of options or of fields, as the constructor takes them.

        Args:
            given: a nested model may also be given as a mapping under its own name.
            what: a name is called in messages.

        Raises:
            DetoxbenchError: for a name that is neither.
        """
        options, found = cls.options(), {}
        for name, value in given.items():
            if name in options:
                for path in options[name].paths:
                    _put(found, path, value)
            elif name in cls.model_fields:
                if isinstance(value, Mapping) and isinstance(found.get(name), dict):
                    value = {**value, **found[name]}
                found[name] = dict(value) if isinstance(value, Mapping) else value
            else:
                raise unknown(what, name, [*options, *(one for one in cls.model_fields if one not in options)])
        return found

    @classmethod
    def _leaves(cls) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
        for name, field in cls.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
                for path, inner in field.annotation._leaves():
                    yield (name, *path), inner
            else:
                yield (name,), field


def bounds(field: FieldInfo) -> str:
    """What a field's value must be, in words: ``at least 0 and at most 1``."""
    literal = get_origin(field.annotation) is Literal
    said = [f"one of {', '.join(map(str, get_args(field.annotation)))}"] if literal else []
    for one in field.metadata:
        said += [text.format(getattr(one, key)) for kind, key, text in _BOUNDS if isinstance(one, kind)]
    return " and ".join(said)


def _put(target: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        target = target.setdefault(name, {})
    target[path[-1]] = value


def _mistake(kind: type[Settings], error: pydantic.ValidationError) -> DetoxbenchError:
    first = error.errors()[0]
    loc = [str(part) for part in first["loc"]]
    name = loc[-1] if loc else ""
    if first["type"] == "extra_forbidden":
        return unknown("setting", name, kind.model_fields)
    if first["type"] == "missing":
        return DetoxbenchError(f"{name}: it must be given")
    context = first.get("ctx", {})
    said = {
        "greater_than": "above {gt}", "greater_than_equal": "at least {ge}", "less_than": "below {lt}",
        "less_than_equal": "at most {le}", "literal_error": "one of {expected}",
    }.get(first["type"])  # fmt: skip
    text = f"it must be {said.format(**context)}" if said else str(first["msg"]).removeprefix("Value error, ")
    return DetoxbenchError(f"{name}={shown(first['input'])}: {text}" if name else text)
