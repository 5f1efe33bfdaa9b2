"""What follows the colon of a scorer's specification: ``argument,argument,option=value,…``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..errors import DetoxbenchError, unknown


def pieces(argument: str) -> list[str]:
    """The parts between commas; a JSON object with commas in it is one part.

    >>> pieces('m,extra_body={"a": 1, "b": [2, 3]},qps=5')
    ['m', 'extra_body={"a": 1, "b": [2, 3]}', 'qps=5']
    """
    found: list[str] = []
    for piece in argument.split(","):
        if found and found[-1].count("{") > found[-1].count("}") and "={" in found[-1]:
            found[-1] += f",{piece}"
        else:
            found.append(piece)
    return found


def _option(piece: str, names: Iterable[str]) -> bool:
    return piece.partition("=")[0].strip() in names and "=" in piece


def take(argument: str, options: Mapping[str, Any], names: Iterable[str]) -> tuple[str, dict[str, Any]]:
    """The argument without the options of those names, and these, from it or from the keywords.

    >>> take("some/model,label=toxic,offline=true", {}, ["offline"])
    ('some/model,label=toxic', {'offline': 'true'})

    Raises:
        DetoxbenchError: for an option that is there twice.
    """
    names = tuple(names)
    parts = pieces(argument)
    taken: dict[str, Any] = {}
    for name, _, value in (piece.partition("=") for piece in parts if _option(piece, names)):
        if name.strip() in taken:
            raise DetoxbenchError(f"the scorer's option {name.strip()} is given twice")
        taken[name.strip()] = value
    taken.update({name: options[name] for name in names if options.get(name) is not None})
    return ",".join(piece for piece in parts if not _option(piece, names)), taken


def one_of(*allowed: str) -> Callable[[Any], str]:
    """A conversion for ``parse``: one of some words."""

    def convert(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"allowed are {', '.join(allowed)}")
        return str(value)

    return convert


def flag(value: Any) -> bool:
    """A boolean as users write it."""
    if str(value).lower() not in ("true", "1", "yes", "false", "0", "no"):
        raise ValueError("true or false")
    return str(value).lower() in ("true", "1", "yes")


def parse(
    scorer: str,
    argument: str,
    keywords: Mapping[str, Any],
    *,
    arguments: tuple[str, ...] = (),
    options: Mapping[str, Callable[[Any], Any]],
) -> tuple[list[str], dict[str, Any]]:
    """Positional arguments and converted options.

    A piece is an option only if its name is one, so that a folder may have an equals sign in its name.

    Args:
        scorer: its name, for messages.
        argument: what follows the colon.
        keywords: options given as keywords instead; they win.
        arguments: names of the positional arguments, all required, for messages.
        options: name -> conversion, which raises ``ValueError`` with what is allowed.

    Raises:
        DetoxbenchError: for a missing argument, an unknown option, one that is there twice, or a wrong value.
    """
    parts = [piece.strip() for piece in pieces(argument) if piece.strip()]
    given: dict[str, Any] = {}
    positional: list[str] = []
    for piece in parts:
        if _option(piece, options):
            name, _, value = (part.strip() for part in piece.partition("="))
            if name in given:
                raise DetoxbenchError(f"scorer '{scorer}': the option {name} is given twice")
            given[name] = value
        elif len(positional) < len(arguments):
            positional.append(piece)
        else:
            # The value is not repeated: somebody may have put a key there.
            raise unknown(f"option of scorer '{scorer}'", piece.partition("=")[0], options)
    if len(positional) < len(arguments):
        wanted = ",".join(f"<{name}>" for name in arguments)
        raise DetoxbenchError(f"scorer '{scorer}' needs {scorer}:{wanted}, given '{scorer}:{argument}'")
    for name, value in keywords.items():
        if name not in options:
            raise unknown(f"option of scorer '{scorer}'", name, options)
        if value is not None:
            given[name] = value
    converted = {}
    for name, value in given.items():
        try:
            converted[name] = options[name](value)
        except (TypeError, ValueError) as error:
            raise DetoxbenchError(f"scorer '{scorer}': {name}={value!r}: {error}") from None
    return positional, converted
