"""Whether lm-eval's results and samples files are there and whole.

lm-eval catches every error of writing them, logs a line and ends with status 0; a full disk leaves a part of a file,
and the journal of the run would go with it.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import DetoxbenchError
from ..core.files import PARTIAL, WriteError, make_folder, write_text
from ..core.parsing import parse_json
from ..tasks import catalog

ROOM = 1 << 16
"""Bytes that are written to find out why a file could not be."""


def check_folder(tracker: Any) -> None:
    """Refuse, before a model is loaded, an ``--output_path`` that nothing can be written to.

    Args:
        tracker: lm-eval's ``EvaluationTracker``, or None where there is none.

    Raises:
        WriteError: naming it and the cause.
    """
    output = getattr(tracker, "output_path", None)
    if output:
        path = Path(output)
        _try(path.parent if path.suffix == ".json" else path, 1)


def check(path: Path, task: str | None, content: Any) -> None:
    """Refuse a file of ours that was not written whole; what is there of it is removed.

    Args:
        path: of results or samples.
        task: whose samples they are; None for results.
        content: the results, or the samples.

    Raises:
        DetoxbenchError: naming the file and, if it can be found out, the cause.
    """
    if not (_has_ours(content) if task is None else catalog.find([task])):
        return
    if _is_whole(path, None if task is None else len(content)):
        return
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
    _try(path.parent, ROOM, path)
    raise DetoxbenchError(f"'{path}' was not written whole: lm-eval's log says why")


def _has_ours(results: Mapping[str, Any]) -> bool:
    from .reporting import summary

    return bool(summary.ours(results))


def _is_whole(path: Path, rows: int | None) -> bool:
    try:
        if rows is None:
            return isinstance(parse_json(path.read_bytes()), dict)
        with path.open("rb") as file:
            count, last = 0, b"\n"
            for last in file:  # noqa: B007
                count += 1
        return count == rows and last.endswith(b"\n")
    except (OSError, ValueError):
        return False


def _try(folder: Path, size: int, path: Path | None = None) -> None:
    """Write something into a folder and take it away again.

    Raises:
        WriteError: naming the folder or, in its place, the path.
    """
    probe = folder / f"{PARTIAL}probe-{uuid.uuid4().hex[:8]}"
    try:
        make_folder(folder)
        write_text(probe, " " * size)
    except WriteError as error:
        cause = error.__cause__
        why = getattr(cause, "strerror", None) or cause or error
        raise WriteError(f"cannot write '{path or folder}': {why}") from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
