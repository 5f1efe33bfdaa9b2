"""JSON on standard output."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import typer


def echo_json(value: Any, default: Callable[[Any], Any] | None = None) -> None:
    """Print a value as JSON: letters of all scripts as they are; all escaped where a half character, which other
    people's files can hold, could not be written."""
    text = json.dumps(value, ensure_ascii=False, indent=2, default=default)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2, default=default)
    typer.echo(text)
