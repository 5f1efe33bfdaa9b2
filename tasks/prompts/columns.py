"""Values in a row by dotted paths, and a prompt's fields checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MISSING: Any = object()


def get(row: Any, path: str) -> Any:
    """The value at a dotted path; a column whose name has dots in it wins. ``MISSING`` where there is none.

    >>> get({"prompt": {"text": "So, I'm"}}, "prompt.text"), get({"a.b": 1}, "a.b")
    ("So, I'm", 1)
    """
    if isinstance(row, Mapping) and path in row:
        return row[path]
    head, _, rest = path.partition(".")
    if not rest or not isinstance(row, Mapping) or head not in row:
        return MISSING
    return get(row[head], rest)


def first(row: Any, *paths: str) -> Any:
    """The value at the first of the paths that is there."""
    return next((value for path in paths if (value := get(row, path)) is not MISSING), MISSING)


def require(row: Mapping[str, Any], path: str) -> Any:
    """The value at a path that the user named.

    Raises:
        ValueError: naming the row's columns.
    """
    value = get(row, path)
    if value is MISSING:
        raise ValueError(f"no '{path}'; the row has {', '.join(map(str, list(row)[:12])) or 'no column'}")
    return value


def text_of(value: Any, path: str) -> str:
    """A prompt's text.

    Raises:
        ValueError: if it is no text, empty, or holds half of a surrogate pair, which no model can be given.
    """
    if value is MISSING or value is None or value == "":
        raise ValueError(f"no text in '{path}'")
    if not isinstance(value, str):
        raise ValueError(f"'{path}' is {value!r:.40}, not a text")
    if not value.strip():
        raise ValueError(f"nothing but white space in '{path}'")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"'{path}' is not valid Unicode (a lone surrogate)") from None
    return value


def toxicity_of(value: Any, path: str) -> float | None:
    """A score from 0 to 1; None for null and NaN.

    Raises:
        ValueError: for anything else.
    """
    if value is MISSING or value is None:
        return None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise ValueError(f"'{path}' is {value!r:.40}, not a number or null") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"'{path}' is {value!r:.40}, not a number or null")
    try:
        value = float(value)
    except OverflowError:  # a whole number beyond the largest float
        value = math.inf if value > 0 else -math.inf
    if math.isnan(value):
        return None
    if not 0 <= value <= 1:
        raise ValueError(f"'{path}' is {value:g}, not between 0 and 1")
    return value


def groups_of(value: Any, grouping: str) -> list[str]:
    """``grouping=value`` for a scalar, one for each entry of a list, none for null."""
    if value is None:
        return []
    values = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(entry, Mapping | list | tuple) for entry in values):
        raise ValueError(f"'{grouping}' is {value!r:.40}, not a text, a number or a list of them")
    return [f"{grouping}={entry}" for entry in values if entry is not None]
