"""JSON and YAML that somebody else wrote: the one reader of both, which takes nothing back that the text says.

Python's own readers keep the last of two equal keys without a word, so that a file shows its reader one number and the
program another; and what is nested without end ends in a ``RecursionError``. Here both are a ``ValueError`` of a
line.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import yaml

ENTRIES = 100_000
"""Of a YAML text, aliases written out: a few lines of them can stand for billions."""

LONGEST_KEY = 60
"""Characters of a key that a message shows."""

LONGEST_NUMBER = 300
"""Digits of a whole number; the largest float has 309."""

_YAML_ERRORS = (
    yaml.YAMLError, ValueError, OverflowError, RecursionError, TypeError, KeyError, IndexError, AttributeError
)  # fmt: skip
"""What PyYAML raises for values that are not what they say (``2026-13-45``, ``!!bool x``, brackets without end)."""


class ParseError(ValueError):
    """What is wrong with a text, in one line."""


def _shown(key: object) -> str:
    return repr(str(key)[:LONGEST_KEY])


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        again = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ParseError(f"the key {_shown(again)} is there twice in one object: keep one")
    return found


def _whole(digits: str) -> int:
    """No float holds a longer one: sums and comparisons of what is measured would end in an error."""
    if len(digits) > LONGEST_NUMBER:
        raise ParseError(f"a whole number has {len(digits):,} digits")
    return int(digits)


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_whole)


def parse_json(text: str | bytes) -> Any:
    """What a JSON text holds; NaN and infinite numbers are read, for Python writes them.

    Args:
        text: bytes are UTF-8, with or without a byte order mark.

    Raises:
        ValueError: for anything else: a ``ParseError``, or ``UnicodeDecodeError``.
    """
    try:
        return _decoder.decode(text.decode("utf-8-sig") if isinstance(text, bytes) else text)
    except (ParseError, UnicodeDecodeError):
        raise
    except ValueError as error:  # integers of thousands of digits, too
        raise ParseError(str(error)) from None
    except RecursionError:
        raise ParseError("it is nested too deeply") from None


class _Loader(yaml.SafeLoader):
    """A key that is there twice is a mistake; PyYAML takes the last one without a word."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
        return super().construct_mapping(node, deep=deep)


def _check_keys(node: yaml.MappingNode) -> None:
    """Before ``<<`` is written out: what it brings may be given again."""
    lines: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            first = lines.get(key.value)  # as text, for 1 and '1' are one key wherever a study is written as JSON
            if first is not None:
                raise ParseError(
                    f"line {line}: the key {_shown(key.value)} is there already, in line {first}: keep one"
                )
            lines[key.value] = line


def _check_size(value: Any) -> None:
    """Refuse what contains itself, and what aliases make too large to look at."""
    left = ENTRIES

    def visit(inner: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise ParseError(f"aliases (*name) make more than {ENTRIES:,} entries of it")
        if isinstance(inner, int) and abs(inner) >= 10**LONGEST_NUMBER:
            raise ParseError(f"a whole number has more than {LONGEST_NUMBER} digits")
        for one in inner.values() if isinstance(inner, dict) else inner if isinstance(inner, list) else ():
            visit(one)

    visit(value)


def parse_yaml(text: str) -> Any:
    """What a YAML text of plain values holds; None of an empty one.

    Raises:
        ParseError: for anything else.
    """
    try:
        found = yaml.load(text, _Loader)
        _check_size(found)
    except ParseError:
        raise
    except _YAML_ERRORS as error:
        cause = " ".join(str(error).split()) or type(error).__name__
        raise ParseError(f"{cause:.400}") from None
    return found
