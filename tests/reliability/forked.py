"""Commands as forks of one process that has imported everything once: a kill costs no new start of Python."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lm_eval.__main__
import typer

from detoxbench.harness import model
from detoxbench.harness.cli import main as detoxbench

IMPORTED_BEFORE_THE_FORKS = (model,)
_CAPABILITY_VERSION = 0x20080522


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status (-9 if it was killed), what it said on stderr, and how long it took."""

    status: int
    error: str
    seconds: float


def run(
    arguments: Sequence[str],
    folder: Path,
    *,
    kill_after: float | None = None,
    longest_file: int | None = None,
    powerless: bool = False,
) -> Ended:
    """Run a command in a folder, with a cache and a home of its own in it.

    Args:
        arguments: of ``detoxbench``, or of ``lm_eval`` after that word.
        folder: the working directory.
        kill_after: seconds after which it is killed with SIGKILL.
        longest_file: bytes that a file may have (``RLIMIT_FSIZE``).
        powerless: without the superuser's capabilities, so that permissions bind it too.
    """
    reading, writing = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _child(arguments, folder, writing, longest_file, powerless)
    os.close(writing)
    os.set_blocking(reading, False)
    status, said = None, b""
    while status is None:
        said += _read(reading)
        ended, found = os.waitpid(child, os.WNOHANG)
        if ended:
            status = os.waitstatus_to_exitcode(found)
        elif kill_after is not None and time.monotonic() - began >= kill_after:
            os.kill(child, signal.SIGKILL)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        else:
            time.sleep(0.01)
    seconds = time.monotonic() - began
    said += _read(reading)
    os.close(reading)
    return Ended(status, said.decode("utf-8", "replace"), seconds)


def _read(pipe: int) -> bytes:
    """What is in a pipe now."""
    found = b""
    try:
        while block := os.read(pipe, 1 << 16):
            found += block
    except BlockingIOError:
        pass
    return found


def _drop_capabilities() -> None:
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    if ctypes.CDLL(None, use_errno=True).capset(header, struct.pack("6I", *[0] * 6)):
        raise OSError(ctypes.get_errno(), "capset")


def _child(arguments: Sequence[str], folder: Path, error: int, longest_file: int | None, powerless: bool) -> None:
    status = 1
    try:
        os.chdir(folder)
        out = os.open(os.devnull, os.O_WRONLY)
        os.dup2(out, 1)
        os.dup2(error, 2)
        os.environ |= {"DETOXBENCH_HOME": str(folder / "home"), "DETOXBENCH_CACHE": str(folder / "cache")}
        if longest_file is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (longest_file, longest_file))
        if powerless:
            _drop_capabilities()
        sys.argv = list(arguments) if arguments[0] == "lm_eval" else ["detoxbench", *arguments]
        (lm_eval.__main__.cli_evaluate if arguments[0] == "lm_eval" else detoxbench)()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except typer.Exit as end:
        status = end.exit_code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)
