"""Arguments of a combination: ``profs.rank``, or ``rank`` where only one of its methods has that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pydantic

from ...core.errors import DetoxbenchError
from .. import base

DOT = "."


def prefixed(name: str, argument: str) -> str:
    return f"{name}{DOT}{argument}"


def model(parts: Mapping[str, type[base.Method]]) -> type[base.Arguments]:
    """The arguments of all of them, each under its method's name."""
    fields: dict[str, Any] = {
        prefixed(name, argument): (field.annotation, field)
        for name, cls in parts.items()
        for argument, field in cls.Arguments.model_fields.items()
    }
    return pydantic.create_model("Arguments", __base__=base.Arguments, **fields)


def owners(parts: Mapping[str, type[base.Method]], argument: str) -> list[str]:
    """The methods that have an argument."""
    return [name for name, cls in parts.items() if argument in cls.Arguments.model_fields]


def owns(parts: Mapping[str, type[base.Method]], key: str) -> bool:
    """Whether a key is an argument in one of its spellings, a wrong one after a right prefix among them."""
    return key in parts or key.partition(DOT)[0] in parts or bool(owners(parts, key))


def spelled(combination: str, parts: Mapping[str, type[base.Method]], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments in the one spelling that is recorded, in the order of the methods.

    Args:
        given: ``{"profs.rank": 2}``, ``{"profs": {"rank": 2}}`` or, where one method alone has it, ``{"rank": 2}``.

    Raises:
        DetoxbenchError: for a name that several methods have, or an argument given twice.
    """
    found: dict[str, Any] = {}

    def put(key: str, value: Any) -> None:
        if key in found:
            raise DetoxbenchError(f"method '{combination}', argument {key}: it is given twice")
        found[key] = value

    for key, value in given.items():
        if key in parts and isinstance(value, Mapping):
            for inner, one in value.items():
                put(prefixed(key, inner), one)
            continue
        having = owners(parts, key)
        if len(having) > 1:
            allowed = " or ".join(prefixed(name, key) for name in having)
            raise DetoxbenchError(f"method '{combination}', argument {key}: {' and '.join(having)} have it: {allowed}")
        put(prefixed(having[0], key) if having else key, value)
    places = {name: at for at, name in enumerate(parts)}
    return dict(sorted(found.items(), key=lambda item: places.get(item[0].partition(DOT)[0], len(places))))


def of_part(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Of arguments in the recorded spelling those of one method, by their own names."""
    start = prefixed(name, "")
    return {key.removeprefix(start): value for key, value in given.items() if key.startswith(start)}


def values(parsed: base.Arguments, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Method -> its arguments with their values, of checked ones."""
    every = {key: getattr(parsed, key) for key in type(parsed).model_fields}
    return {name: of_part(name, every) for name in names}
