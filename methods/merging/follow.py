"""sha256 of files while they are read or written: each byte is hashed soon after, out of the page cache."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

_BLOCK = 1 << 20


class Follower:
    """Hashes files one after the other, as far as it is told.

    Args:
        paths: files, each of its final size.

    Attributes:
        size: bytes of all.
    """

    def __init__(self, paths: Sequence[Path]):
        self.paths = list(paths)
        self.size = sum(path.stat().st_size for path in self.paths)
        self._sums: dict[Path, str] = {}
        self._done = 0
        self._at = 0
        self._digest = hashlib.sha256()
        self._buffer = memoryview(bytearray(_BLOCK))

    def advance(self, until: int) -> None:
        """Hash up to so many bytes, counted over all files."""
        while len(self._sums) < len(self.paths):
            path = self.paths[len(self._sums)]
            length = path.stat().st_size
            end = min(length, self._at + until - self._done)
            with path.open("rb", buffering=0) as file:
                file.seek(self._at)
                while self._at < end and (got := file.readinto(self._buffer[: end - self._at])):
                    self._digest.update(self._buffer[:got])
                    self._at += got
                    self._done += got
            if self._at < length:
                return
            self._sums[path] = self._digest.hexdigest()
            self._at, self._digest = 0, hashlib.sha256()

    def finish(self) -> dict[Path, str]:
        """The rest; sha256 of each file."""
        self.advance(self.size)
        return self._sums
