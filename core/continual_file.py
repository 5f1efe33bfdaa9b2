"""``continual.json``, what ``detoxbench continual`` writes and the leaderboard shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import DetoxbenchError
from .files import write_text
from .parsing import parse_json

NAME = "continual.json"
KIND, SCHEMA = "continual", 1
MACRO = "macro"
"""The column of the macro-average."""


def write(path: Path, content: Mapping[str, Any]) -> None:
    """The file appears when it is whole."""
    write_text(path, [json.dumps(content, indent=1, ensure_ascii=True, allow_nan=False), "\n"])


def read(path: Path) -> dict[str, Any]:
    """What ``write`` wrote, of a file or of a study's folder.

    Raises:
        DetoxbenchError: for anything else.
    """
    path = path / NAME if path.is_dir() else path
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
        kind, schema = found["kind"], found["schema_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DetoxbenchError(f"'{path}': not a file of detoxbench continual ({type(error).__name__})") from None
    if kind != KIND or schema != SCHEMA:
        raise DetoxbenchError(f"'{path}': kind {kind!r}, schema {schema!r}; this version reads {KIND!r}, {SCHEMA}")
    return found


def level(entry: Mapping[str, Any]) -> str:
    """``value [low, high]``."""
    if entry["value"] is None:
        return "–"
    digits = 1 if abs(entry["value"]) >= 10 else 3
    return f"{entry['value']:.{digits}f}{_bounds(entry, f'.{digits}f')}"


def _bounds(entry: Mapping[str, Any], form: str) -> str:
    """``[low, high]`` after a space; nothing where too few prompts were measured for an interval."""
    return "" if entry["low"] is None else f" [{format(entry['low'], form)}, {format(entry['high'], form)}]"


def difference(entry: Mapping[str, Any] | None, own: bool = False) -> str:
    """``change [low, high]`` with signs; a language's own step is bold."""
    if entry is None or entry["value"] is None:
        return "–"
    digits = 1 if abs(entry["value"]) >= 10 else 3
    text = f"{entry['value']:+.{digits}f}{_bounds(entry, f'+.{digits}f')}"
    return f"**{text}**" if own else text
