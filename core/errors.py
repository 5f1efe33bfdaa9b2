"""Errors meant for the user: what was given, what is allowed, what to do next, in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST = 2000
"""Characters of a message; what was given may be a whole file by mistake."""


class DetoxbenchError(ValueError):
    """A mistake in the user's input or environment; shown as one line, without a traceback.

    What was given stands in the message: characters that break lines or steer a terminal are escaped, and the middle
    of what is too long for a line that people read is left out.

    >>> str(DetoxbenchError("no such file: 'a\\nb'"))
    "no such file: 'a\\\\nb'"
    """

    def __init__(self, message: object = "", *more: object):
        super().__init__(_line(message) if isinstance(message, str) else message, *more)


def _line(message: str) -> str:
    if not message.isprintable():
        message = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in message)
    return message if len(message) <= MOST else f"{message[: MOST // 2]} … {message[-MOST // 3 :]}"


def shown(value: object, *, quoted: bool = False, most: int = 60) -> str:
    """A value in a message: one line, and not a long one.

    >>> shown("a\\nb"), shown("x", quoted=True), shown(10**5000)
    ("'a\\\\nb'", "'x'", '(a number of thousands of digits)')

    Args:
        quoted: strings in quotes.
        most: characters.
    """
    try:
        text = repr(value) if quoted else str(value)
    except ValueError:  # a whole number of more digits than Python writes
        return "(a number of thousands of digits)"
    text = text if text.isprintable() else ascii(value)
    return text if len(text) <= most else f"{text[:most]}…"


def unknown(kind: str, given: object, allowed: Iterable[str], hint: str = "") -> DetoxbenchError:
    """The error for a name that is not in a list, with the nearest one that is.

    >>> str(unknown("scorer", "mimi", ["mini"]))
    "unknown scorer 'mimi': did you mean 'mini'? Allowed: mini."
    """
    names = sorted(allowed)
    given = shown(given, most=200)
    close = difflib.get_close_matches(given, names, n=1)
    guess = f"did you mean '{close[0]}'? " if close else ""
    return DetoxbenchError(f"unknown {kind} '{given}': {guess}Allowed: {', '.join(names)}.{' ' + hint if hint else ''}")


def missing_extra(package: str, extra: str, purpose: str) -> DetoxbenchError:
    """The error for an optional dependency that is not installed."""
    return DetoxbenchError(f"{purpose} needs the package '{package}': pip install 'detoxbench[{extra}]'")
