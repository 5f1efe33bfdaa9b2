"""Mutated input files for commands: whatever is in them, a command ends with exit status 0 or 2 and one line.

A test names a valid file and a command, and calls ``check``. Mutations are drawn from a seed, so that a failure is
found again by its number. ``DETOXBENCH_FUZZ`` is the number of mutations of each file; the default is small, for every
run of the tests.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import random
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from detoxbench.harness.cli import main

BUDGET = int(os.environ.get("DETOXBENCH_FUZZ", "20"))
VALUES = (
    None, True, False, 0, -1, 1, 0.5, -3.5, 10**400, 2**63, 1e308, float("nan"), float("inf"), "", "x", "a\ud800b",
    "\x00", "../../etc", "x" * 5000, "1e999", [], {}, [[]], {"a": {}}, [None], [1, "a", {}], {"text": None},
    {"value": "x"},
)  # fmt: skip
"""What a field may hold that nobody expects."""
KEYS = ("text", "lang", "scores", "value", "", "../x", "doc_id", "languages", "\ud800")


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to everything within a JSON value, itself excluded."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*path, key)
        yield from places(inner, (*path, key))


def changed(value: Any, rng: random.Random) -> Any:
    """A copy with one to three fields replaced, removed, renamed or doubled."""
    found = copy.deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        every = list(places(found))
        if not every:
            return rng.choice(VALUES)
        *path, last = rng.choice(every)
        inner = found
        for key in path:
            inner = inner[key]
        how = rng.randrange(5)
        if how < 3:
            inner[last] = copy.deepcopy(rng.choice(VALUES))
        elif how == 3:
            del inner[last]
        elif isinstance(inner, dict):
            inner[rng.choice(KEYS)] = inner.pop(last)
        else:
            inner.append(copy.deepcopy(inner[last]))
    return found


def mutated_rows(rows: list[Any], rng: random.Random) -> bytes:
    """JSON lines of which one is changed; one in four is broken as bytes."""
    rows = list(rows)
    place = rng.randrange(len(rows))
    rows[place] = changed(rows[place], rng)
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    return mutated_bytes(content, rng) if rng.randrange(4) == 0 else content


def mutated_bytes(content: bytes, rng: random.Random) -> bytes:
    """Some bytes flipped, removed, doubled or put in."""
    found = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(found) + 1)
        how = rng.randrange(5)
        if how == 0 and found:
            found[at % len(found)] ^= 1 << rng.randrange(8)
        elif how == 1:
            del found[at : at + rng.randint(1, 40)]
        elif how == 2:
            found[at:at] = found[at : at + rng.randint(1, 40)]
        elif how == 3:
            found[at:at] = rng.choice((b"\xff", b"\x00", b"\r", b"[" * 3000, b"9" * 5000, b"\xef\xbb\xbf"))
        else:
            del found[at:]
    return bytes(found)


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output and error of a command, in this process; a traceback counts as status 1."""
    # Encoded as a pipe's: what cannot be written as UTF-8 is found here.
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors) for errors in ("strict", "backslashreplace"))
    status = 0
    before = sys.argv
    sys.argv = ["detoxbench", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
            out.flush()
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except Exception:
            status = 1
            traceback.print_exc()
        finally:
            sys.argv = before
    return status, _written(out), _written(err)


def _written(stream: io.TextIOWrapper) -> str:
    with contextlib.suppress(UnicodeEncodeError):
        stream.flush()
    return cast("io.BytesIO", stream.buffer).getvalue().decode()


def check(
    mutate: Callable[[random.Random], bytes], path: Path, *arguments: str, cleanup: Callable[[], None] = lambda: None
) -> None:
    """Run a command on mutations of a file.

    Args:
        mutate: makes the content of the file from a random generator.
        path: of the file that the command reads.
        arguments: of the command.
        cleanup: called before each run.

    Raises:
        AssertionError: naming the mutation, unless the command ends with 0, or with 2 and one line of error.
    """
    for number in range(BUDGET):
        cleanup()
        content = mutate(random.Random(f"{path.name} {number}"))
        path.write_bytes(content)
        status, _, error = run(*arguments)
        lines = [line for line in error.splitlines() if line.startswith("detoxbench: ")]
        about = f"mutation {number} of {path.name}: exit status {status}\n{error[-3000:]}\n{content[:2000]!r}"
        assert "Traceback" not in error, about
        assert status == 0 or (status == 2 and len(lines) == 1), about
        assert status == 0 or error.strip().splitlines()[-1] == lines[0], about  # what is above are warnings
