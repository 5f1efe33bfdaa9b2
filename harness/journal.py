"""Finished prompts on disk while a run goes on: a run that was killed goes on where it was, with the same texts.

A journal is a file of gzip members, one for each batch of the sampler, written and flushed to the disk before the next
batch begins: ``zcat`` shows it, and a member that a kill has cut short is left out. Its folder is named by a hash of
everything that the texts depend on (``run_identity.py``), its rows by a hash of the prompt: so that a run that differs
in anything that matters finds nothing. What is left makes the batches that it would have made, so that texts agree in
low precision too. A run reads what other runs of these settings have finished, and writes a file of its own, which is
removed when it has its results.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import os
import shutil
import sys
import time
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from filelock import FileLock, Timeout

from ..core.errors import DetoxbenchError
from ..core.files import fingerprint
from ..core.folders import cache_folder

if TYPE_CHECKING:  # it imports torch, which a command that only prints its help does not need
    from ..core.sampling import Request

logger = logging.getLogger(__name__)

Tokens = Sequence[Sequence[int]]
"""Of one prompt ``[samples, new]``, ragged."""

FORMAT = 1
FOLDER = "generations"
"""In the cache folder."""
DAYS = 30
"""A journal that nobody went on with for so long is removed."""
SUFFIX = ".jsonl.gz"
_GZIP = 31
_BLOCK = 1 << 20


def default_folder() -> Path:
    """Where journals are kept: whatever a run's results are called, the same command finds its own."""
    return cache_folder() / FOLDER


def row_key(request: Request) -> str:
    """Of a prompt: its text, its tokens, and which of its samples are wanted."""
    return fingerprint([request.text, list(request.tokens), list(request.samples)])[:32]


class Journal:
    """The finished prompts of a run.

    Args:
        folder: of all runs of these settings, whose files are read.
        name: of the file that is written.

    Attributes:
        empty: whether nothing is finished yet.
        depends_on: what the texts depend on, written first.

    Raises:
        OSError: where the folder cannot be written to.
        filelock.Timeout: where another process writes this journal.
    """

    def __init__(self, folder: Path, name: str, depends_on: Mapping[str, Any]):
        self.folder, self.path = folder, folder / f"{name}{SUFFIX}"
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(str(self.path) + ".lock", timeout=0)
        self._lock.acquire()
        try:
            self._file = self.path.open("r+b" if self.path.is_file() else "w+b", buffering=0)
            ends = [end for end, _ in _members(self._file)]
            self.empty = len(ends) < 2  # what it depends on comes first
            end = ends[-1] if ends else 0
            self._file.truncate(end)
            self._file.seek(end)
            if end == 0:
                self._write({"format": FORMAT, "depends_on": depends_on})
        except BaseException:
            self._lock.release()
            raise

    def found(self, keys: Collection[str]) -> tuple[dict[str, Tokens], float]:
        """The rows of these keys that are finished, and the seconds that the batches which finished them took."""
        rows: dict[str, Tokens] = {}
        seconds = 0.0
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            with path.open("rb") as file:
                for _, content in _members(file):
                    entry = json.loads(content)
                    known = {key: tokens for key, tokens in entry.get("rows", {}).items() if key in keys}
                    if known.keys() - rows.keys():
                        seconds += entry["seconds"]
                    rows.update(known)
        return rows, seconds

    def add(self, rows: Mapping[str, Tokens], seconds: float) -> None:
        """Keep what a batch has finished; it is on the disk when this returns.

        Raises:
            OSError: where it cannot be written.
        """
        self._write({"seconds": round(seconds, 3), "rows": rows})
        self.empty = False

    def _write(self, entry: Mapping[str, Any]) -> None:
        line = json.dumps(entry, separators=(",", ":"), default=str) + "\n"
        member = memoryview(gzip.compress(line.encode(), 6, mtime=0))
        while member:
            member = member[self._file.write(member) :]
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
        self._lock.release()

    def discard(self) -> None:
        """Close and remove it; its folder too, where nothing else is in it."""
        self.close()
        for path in (self.path, Path(self._lock.lock_file)):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()


def _members(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Of each whole gzip member of a file the position of its end and its content, up to the first that is damaged."""
    rest, end = b"", 0
    while True:
        inflate, parts, used = zlib.decompressobj(_GZIP), [], 0
        while not inflate.eof:
            block, rest = rest or file.read(_BLOCK), b""
            if not block:
                return
            try:
                parts.append(inflate.decompress(block))
            except zlib.error:
                return
            used += len(block)
        rest = inflate.unused_data
        end += used - len(rest)
        yield end, b"".join(parts)


class Kept:
    """What of some requests is finished already, and where the rest goes when it is.

    Args:
        keys: ``row_key`` of each.
        journal: None keeps nothing.

    Attributes:
        done: place of a request -> its tokens, of those that are finished.
        left: places of the others.
        seconds: that the finished ones took.
    """

    def __init__(self, keys: Sequence[str], journal: Journal | None):
        self.journal, self._keys = journal, keys
        self.done: dict[int, Tokens] = {}
        self.seconds = 0.0
        if journal is not None:
            rows, self.seconds = journal.found(frozenset(keys))
            self.done = {place: rows[key] for place, key in enumerate(keys) if key in rows}
        self.left = [place for place in range(len(keys)) if place not in self.done]
        if self.done:
            _say(f"{len(self.done):,} of {len(keys):,} prompts were finished by an earlier run and are reused")
        self._since = time.perf_counter()

    def whole(self, finished: Mapping[int, Tokens]) -> None:
        """Keep requests that are finished, by their places in ``left``. A disk that fails ends the keeping, not the
        run."""
        if self.journal is None or not finished:
            return
        now = time.perf_counter()
        try:
            rows = {self._keys[self.left[place]]: tokens for place, tokens in finished.items()}
            self.journal.add(rows, now - self._since)
        except OSError as error:
            logger.warning(f"finished prompts are no longer kept, {_no(self.journal.path, error)}")
            self.journal = None
        self._since = now

    def all(self, outputs: Sequence[Tokens]) -> list[Tokens]:
        """The tokens of all requests, in order.

        Args:
            outputs: of those ``left``.
        """
        found = {**self.done, **dict(zip(self.left, outputs, strict=True))}
        return [found[place] for place in range(len(found))]


@dataclass
class Run:
    """The journals of one run of lm-eval, one for each way to sample.

    Args:
        root: folder of all journals.
    """

    root: Path
    opened: dict[Path, Journal | None] = field(default_factory=dict)

    def kept(self, requests: Sequence[Request], depends_on: Mapping[str, Any] | None) -> Kept:
        """What is finished of some requests.

        Args:
            requests: in order; each process of a run has its own.
            depends_on: everything beside the prompt that the texts depend on; None where that is not known.
        """
        keys = [row_key(request) for request in requests]
        if depends_on is None:
            return Kept(keys, None)
        folder = self.root / fingerprint({"format": FORMAT, **depends_on})[:32]
        name = fingerprint(sorted(keys))[:16]
        if folder / name not in self.opened:
            self.opened[folder / name] = self._open(folder, name, depends_on)
        return Kept(keys, self.opened[folder / name])

    def _open(self, folder: Path, name: str, depends_on: Mapping[str, Any]) -> Journal | None:
        try:
            _forget_old(self.root)
            return Journal(folder, name, depends_on)
        except Timeout:
            logger.warning("another process runs the same command now: this one keeps no finished prompts")
        except OSError as error:
            logger.warning(f"finished prompts are not kept while this run goes on, {_no(folder, error)}")
        return None

    def close(self, discard: bool) -> None:
        """Let the journals go; those that hold nothing are removed, all of them if asked to."""
        for journal in self.opened.values():
            if journal is not None:
                journal.discard() if discard or journal.empty else journal.close()
        self.opened = {}


def _say(line: str) -> None:
    sys.stderr.write(f"detoxbench: {line}\n")


def _no(path: Path, error: OSError) -> str:
    return f"for '{path}' cannot be written: {error.strerror or error}"


def _forget_old(root: Path) -> None:
    """Remove journals that no run has gone on with for ``DAYS``."""
    limit = time.time() - DAYS * 86_400
    for folder in root.iterdir() if root.is_dir() else ():
        with contextlib.suppress(OSError):
            if max(path.stat().st_mtime for path in (folder, *folder.iterdir())) < limit:
                shutil.rmtree(folder, ignore_errors=True)


CURRENT: ContextVar[Run | None] = ContextVar("journals", default=None)
"""Of the run of lm-eval that goes on; None outside of one, and where the run keeps nothing."""
_COMMAND: ContextVar[list[Run] | None] = ContextVar("finished", default=None)


@contextlib.contextmanager
def keeping() -> Iterator[None]:
    """A run whose finished prompts are kept until it has ended well; within ``command``, until that has.

    Raises:
        DetoxbenchError: in place of the run's own, with what is kept; other errors pass, after a line.
    """
    run = Run(default_folder())
    token = CURRENT.set(run)
    try:
        yield
    except BaseException as error:
        kept = any(journal is not None and not journal.empty for journal in run.opened.values())
        run.close(discard=False)
        hint = "what was generated is kept: the same command goes on from there"
        if kept and isinstance(error, DetoxbenchError):
            raise DetoxbenchError(f"{error} ({hint})") from error
        if kept:
            _say(hint)
        raise
    else:
        finished = _COMMAND.get()
        if finished is None:
            run.close(discard=True)
        else:
            finished.append(run)
    finally:
        CURRENT.reset(token)


@contextlib.contextmanager
def command() -> Iterator[None]:
    """A command that writes its results after its run: a journal is removed when they are written."""
    finished: list[Run] = []
    token = _COMMAND.set(finished)
    ended = False
    try:
        yield
        ended = True
    finally:
        _COMMAND.reset(token)
        for run in finished:
            run.close(discard=ended)
