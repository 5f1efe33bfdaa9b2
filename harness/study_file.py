"""YAML files of sweeps and continual studies: read safely, and every mistake in one line that names the key."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from ..core.errors import DetoxbenchError, unknown

ENTRIES = 100_000
"""Of a study's file, aliases written out: a few lines of them can stand for billions."""
_OTHER_ERRORS = (
    yaml.YAMLError, ValueError, OverflowError, RecursionError, TypeError, KeyError, IndexError, AttributeError
)  # fmt: skip
"""What PyYAML raises for values that are not what they say (``2026-13-45``, ``!!bool x``, brackets without end)."""


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
            if key.value in lines:
                first = lines[key.value]
                raise DetoxbenchError(f"line {line}: the key '{key.value}' is there already, in line {first}: keep one")
            lines[key.value] = line


def _check_size(value: Any) -> None:
    """Refuse what contains itself, and what aliases make too large to look at."""
    left = ENTRIES

    def visit(inner: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError(f"aliases (*name) make more than {ENTRIES:,} entries of it")
        for one in inner.values() if isinstance(inner, dict) else inner if isinstance(inner, list) else ():
            visit(one)

    visit(value)


def read_mapping(path: Path, example: str) -> dict[str, Any]:
    """The file's keys and values; none of an empty file.

    Args:
        path: YAML.
        example: keys that such a file has, for the message.

    Raises:
        DetoxbenchError: where it cannot be read, is no YAML, has a key twice, or holds something else.
    """
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), _Loader)
        _check_size(raw)
    except (OSError, UnicodeDecodeError) as error:
        raise DetoxbenchError(f"'{path}' cannot be read: {error}") from None
    except DetoxbenchError as error:
        raise DetoxbenchError(f"'{path}': {error}") from None
    except _OTHER_ERRORS as error:
        cause = " ".join(str(error).split()) or type(error).__name__
        raise DetoxbenchError(f"'{path}': no YAML: {cause:.400}") from None
    if raw is not None and not isinstance(raw, dict):
        raise DetoxbenchError(f"'{path}': it must hold keys and values ({example}), not a {type(raw).__name__}")
    return raw or {}


def shipped_or_given(given: str, folder: Path, command: str) -> Path:
    """The file of a study: one of the user's, or one that is shipped, by its name.

    Args:
        given: by the user; may be empty.
        folder: of the shipped ones.
        command: that takes it, for messages.

    Raises:
        DetoxbenchError: where there is neither, with the nearest name.
    """
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    own = next((name for name in names if name.replace("_", "-") == given.replace("_", "-")), None)
    if own is not None and not Path(given).is_file():
        return folder / f"{own}.yaml"
    if not given or not (Path(given).is_file() or Path(given).suffix or Path(given).name != given):
        raise unknown("study", given, names, f"Or give a YAML file: detoxbench {command} FILE.yaml")
    return Path(given)


def mistake(
    where: str,
    found: Mapping[str, Any],
    path: Iterable[Any],
    allowed: Callable[[tuple[Any, ...]], Iterable[str]],
) -> DetoxbenchError:
    """The line for one of pydantic's errors.

    Args:
        where: the file's name.
        found: an entry of ``ValidationError.errors()``.
        path: the keys that lead to it, as the user wrote them.
        allowed: the keys at an entry's ``loc``.
    """
    key = ".".join(str(part) for part in path)
    text = str(found["msg"]).removeprefix("Value error, ")
    if found["type"] == "extra_forbidden":
        names = list(allowed(found["loc"]))
        near = difflib.get_close_matches(str(found["loc"][-1]), names, n=1)
        guess = f"did you mean '{near[0]}'? " if near else ""
        text = f"there is no such key; {guess}allowed are {', '.join(names)}"
    elif found["type"] != "value_error":
        text += f"; given {found['input']!r:.80}"
    return DetoxbenchError(f"'{where}': {key + ': ' if key else ''}{text}")
