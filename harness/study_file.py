"""YAML files of sweeps and continual studies: read safely, and every mistake in one line that names the key."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..core.errors import DetoxbenchError, unknown
from ..core.parsing import ParseError, parse_yaml


def read_mapping(path: Path, example: str) -> dict[str, Any]:
    """The file's keys and values; none of an empty file.

    Args:
        path: YAML.
        example: keys that such a file has, for the message.

    Raises:
        DetoxbenchError: where it cannot be read, is no YAML, has a key twice, or holds something else.
    """
    try:
        raw = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DetoxbenchError(f"'{path}' cannot be read: {error}") from None
    except ParseError as error:
        raise DetoxbenchError(f"'{path}' as YAML: {error}") from None
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
    if not given:
        raise DetoxbenchError(
            f"no study: name one of {', '.join(names)}, or a YAML file: detoxbench {command} FILE.yaml"
        )
    if not (Path(given).is_file() or Path(given).suffix or Path(given).name != given):
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
