"""Errors meant for the user: what was given, what is allowed, what to do next, in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DetoxbenchError(ValueError):
    """A mistake in the user's input or environment; shown as one line, without a traceback."""


def unknown(kind: str, given: object, allowed: Iterable[str], hint: str = "") -> DetoxbenchError:
    """The error for a name that is not in a list, with the nearest one that is.

    >>> str(unknown("scorer", "mimi", ["mini"]))
    "unknown scorer 'mimi': did you mean 'mini'? Allowed: mini."
    """
    names = sorted(allowed)
    close = difflib.get_close_matches(str(given), names, n=1)
    guess = f"did you mean '{close[0]}'? " if close else ""
    return DetoxbenchError(f"unknown {kind} '{given}': {guess}Allowed: {', '.join(names)}.{' ' + hint if hint else ''}")


def missing_extra(package: str, extra: str, purpose: str) -> DetoxbenchError:
    """The error for an optional dependency that is not installed."""
    return DetoxbenchError(f"{purpose} needs the package '{package}': pip install 'detoxbench[{extra}]'")
