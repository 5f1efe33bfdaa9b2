"""A store of scores that outlasts the scorer: one SQLite file, safe to kill at any moment and to share.

A score is kept under the scorer, its version, the set of attributes asked for, the language and the sha256 of the text.
Scores of fewer attributes are found in a set that has more. The texts themselves are kept beside, unless told not to.

Every ``put`` is one transaction that is on the disk when it returns (write-ahead log, ``synchronous=FULL``). Processes
on one machine may use one file at the same time; network file systems do not support that.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DetoxbenchError

APPLICATION = 0x64746F78
"""Marks the file as ours (``dtox``)."""

SCHEMA = 1
BUSY_SECONDS = 120.0
"""How long to wait for another process that writes."""

CACHE_KIB = 65_536
MANY = 1000
"""Texts looked up by one statement."""

_TABLES = """
CREATE TABLE IF NOT EXISTS sets (
    id INTEGER PRIMARY KEY, scorer TEXT NOT NULL, version TEXT NOT NULL, attributes TEXT NOT NULL,
    language TEXT NOT NULL, UNIQUE (scorer, version, language, attributes)
);
CREATE TABLE IF NOT EXISTS scores (
    set_id INTEGER NOT NULL REFERENCES sets, text_sha256 BLOB NOT NULL, "values" BLOB NOT NULL, reason TEXT,
    scored_at INTEGER, PRIMARY KEY (set_id, text_sha256)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS texts (text_sha256 BLOB PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
"""

_PUT = """
INSERT INTO scores VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    "values" = excluded."values", reason = excluded.reason, scored_at = excluded.scored_at
WHERE scores.reason IS NOT NULL AND excluded.reason IS NULL
"""
"""The first score stays: everybody who asks gets the same. Only a text without one may get one later."""


def default_path() -> Path:
    """``$DETOXBENCH_ARCHIVE``, else ``detoxbench/scores.sqlite`` in the user's data folder (not a cache: it may hold
    what nobody can ask for again)."""
    given = os.environ.get("DETOXBENCH_ARCHIVE")
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(given) if given else Path(data) / "detoxbench" / "scores.sqlite"


def text_sha256(text: str) -> bytes:
    """32 bytes; lone surrogates are hashed as they are."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True)
class Key:
    """What scores are kept under, beside the text. ``attributes`` are sorted: their order does not matter."""

    scorer: str
    version: str
    attributes: tuple[str, ...]
    language: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "attributes", tuple(sorted(set(self.attributes))))


@dataclass(frozen=True)
class Row:
    """The scores of one text: float64 in the order of the key's attributes, NaN and a reason if it has none."""

    text_sha256: bytes
    values: Sequence[float]
    reason: str | None = None
    text: str | None = None
    scored_at: int | None = None
    """Seconds since 1970, UTC; None if it is not known."""


class ScoreArchive:
    """See the module. May be used by several threads.

    Args:
        path: the file; it and its folder are made if they do not exist.
        texts: keep the texts, which calibration and other scorers need later; hashes are always kept.
        create: False refuses a file that does not exist.

    Raises:
        DetoxbenchError: for a file that is something else, or of a later version, or cannot be written.
    """

    def __init__(self, path: Path | str, *, texts: bool = True, create: bool = True):
        self.path = Path(path)
        self.keeps_texts = texts
        self._lock = threading.RLock()
        if not create and not self.path.is_file():
            raise DetoxbenchError(f"there is no score archive '{self.path}'")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=64
            )
            self._prepare()
        except (sqlite3.Error, OSError) as error:
            raise DetoxbenchError(f"'{self.path}' cannot be used as a score archive: {error}") from None

    def _prepare(self) -> None:
        application, tables = self._one("PRAGMA application_id"), self._one("SELECT count(*) FROM sqlite_master")
        if tables and application != APPLICATION:
            raise DetoxbenchError(f"'{self.path}' is an SQLite file of something else, not a score archive")
        if self._one("PRAGMA user_version") > SCHEMA:
            raise DetoxbenchError(f"'{self.path}' was written by a later detoxbench: upgrade to read it")
        self._write_ahead()
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        if application != APPLICATION:
            with self._transaction():
                for statement in _TABLES.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA application_id = {APPLICATION}")
                self._db.execute(f"PRAGMA user_version = {SCHEMA}")

    def _write_ahead(self) -> None:
        """Turning the log on needs the file for oneself, and does not wait for it by itself."""
        deadline = time.monotonic() + BUSY_SECONDS
        while self._one("PRAGMA journal_mode") != "wal":
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _one(self, statement: str, arguments: Sequence[object] = ()) -> Any:
        row = self._db.execute(statement, arguments).fetchone()
        return row[0] if row else None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def __enter__(self) -> ScoreArchive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, key: Key, rows: Iterable[Row]) -> int:
        """Store rows; when this returns they are on the disk. How many were new is returned.

        Raises:
            ValueError: for a row with another number of values than the key has attributes.
            sqlite3.Error: if the disk is full or the file cannot be written; then nothing is stored.
        """
        now, scores, texts = int(time.time()), [], []
        for row in rows:
            if len(row.values) != len(key.attributes):
                raise ValueError(f"{len(row.values)} values for the attributes {', '.join(key.attributes)}")
            at = now if row.scored_at is None else row.scored_at
            scores.append((row.text_sha256, array("d", row.values).tobytes(), row.reason, at))
            if self.keeps_texts and row.text is not None and storable(row.text):
                texts.append((row.text_sha256, row.text))
        if not scores:
            return 0
        scores.sort(key=lambda score: score[0])  # neighbours in the file are written together; the sort is stable
        with self._transaction():
            owner = self._set(key)
            before = self._db.total_changes
            self._db.executemany(_PUT, ((owner, *score) for score in scores))
            added = self._db.total_changes - before
            self._db.executemany("INSERT OR IGNORE INTO texts VALUES (?, ?)", texts)
        return added

    def _set(self, key: Key) -> int:
        names = (key.scorer, key.version, json.dumps(key.attributes), key.language)
        found = self._one(
            "SELECT id FROM sets WHERE scorer = ? AND version = ? AND attributes = ? AND language = ?", names
        )
        if found is None:
            statement = "INSERT INTO sets (scorer, version, attributes, language) VALUES (?, ?, ?, ?)"
            found = self._db.execute(statement, names).lastrowid
        return int(found)  # type: ignore[arg-type]

    def get(self, key: Key, hashes: Iterable[bytes]) -> dict[bytes, tuple[bytes, str | None]]:
        """What is stored for those texts: sha256 -> float64 values as bytes, in the order of ``key.attributes``, and
        the reason if they are NaN. Texts that are not stored are left out."""
        # In the order of the file, which is then read once.
        wanted, found = sorted(set(hashes)), {}
        for owner, attributes in self._sets_with(key):
            part = self._get(owner, wanted)
            if attributes != key.attributes:
                part = {
                    sha: (_choose(values, attributes, key.attributes), reason) for sha, (values, reason) in part.items()
                }
            found = {**part, **found}
            wanted = [sha for sha in wanted if sha not in found]
        return found

    def _sets_with(self, key: Key) -> list[tuple[int, tuple[str, ...]]]:
        """Sets that have all the attributes: this very one first, then the smaller ones."""
        with self._lock:
            rows = self._db.execute(
                "SELECT id, attributes FROM sets WHERE scorer = ? AND version = ? AND language = ?",
                (key.scorer, key.version, key.language),
            ).fetchall()
        sets = [(owner, tuple(json.loads(attributes))) for owner, attributes in rows]
        return sorted((s for s in sets if set(s[1]) >= set(key.attributes)), key=lambda s: (len(s[1]), s[0]))

    def _get(self, owner: int, hashes: Sequence[bytes]) -> dict[bytes, tuple[bytes, str | None]]:
        found: dict[bytes, tuple[bytes, str | None]] = {}
        for start in range(0, len(hashes), MANY):
            part = hashes[start : start + MANY]
            part = [*part, *[part[-1]] * (MANY - len(part))] if start else part  # one statement serves all full chunks
            marks = ",".join("?" * len(part))
            statement = (
                f'SELECT text_sha256, "values", reason FROM scores WHERE set_id = ? AND text_sha256 IN ({marks})'
            )
            with self._lock:
                rows = self._db.execute(statement, (owner, *part)).fetchall()
            found.update((sha, (values, reason)) for sha, values, reason in rows)
        return found

    def sets(self, scorer: str | None = None) -> list[tuple[Key, int]]:
        """Every key that has scores, or those of one scorer, and how many texts it has."""
        with self._lock:
            rows = self._db.execute(
                "SELECT scorer, version, attributes, language, count(*) FROM sets JOIN scores ON set_id = id "
                "WHERE ?1 IS NULL OR scorer = ?1 GROUP BY id ORDER BY scorer, version, language, attributes",
                (scorer,),
            ).fetchall()
        return [(Key(name, version, tuple(json.loads(names)), lang), n) for name, version, names, lang, n in rows]

    def versions(self, scorer: str) -> list[str]:
        """Versions of that scorer that the archive has scores of."""
        with self._lock:
            return [
                row[0]
                for row in self._db.execute("SELECT DISTINCT version FROM sets WHERE scorer = ? ORDER BY 1", (scorer,))
            ]

    def rows(self, key: Key, *, texts: bool = True) -> Iterator[Row]:
        """All rows of exactly that key, by hash; the texts where they are kept."""
        owner = self._one(
            "SELECT id FROM sets WHERE scorer = ? AND version = ? AND attributes = ? AND language = ?",
            (key.scorer, key.version, json.dumps(key.attributes), key.language),
        )
        last = b""
        while owner is not None:
            # A page at a time, so that the lock is not held while the caller works.
            with self._lock:
                page = self._db.execute(
                    f'SELECT s.text_sha256, s."values", s.reason, {"t.text" if texts else "NULL"}, s.scored_at '
                    f"FROM scores s {'LEFT JOIN texts t USING (text_sha256)' if texts else ''} "
                    "WHERE s.set_id = ? AND s.text_sha256 > ? ORDER BY s.text_sha256 LIMIT 10000",
                    (owner, last),
                ).fetchall()
            for sha, values, reason, text, at in page:
                yield Row(sha, array("d", values), reason, text, at)
            if not page:
                return
            last = page[-1][0]

    def stats(self) -> list[Mapping[str, object]]:
        """One entry a key: what it is, texts, texts without a score, and when the first and last were scored."""
        with self._lock:
            cursor = self._db.execute(
                "SELECT scorer, version, language, attributes, count(*) AS texts, "
                "count(reason) AS unscored, count(t.text_sha256) AS with_text, "
                "min(scored_at) AS first, max(scored_at) AS last "
                "FROM sets JOIN scores ON set_id = id LEFT JOIN texts t USING (text_sha256) "
                "GROUP BY id ORDER BY scorer, version, language, attributes"
            )
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]


def _choose(values: bytes, stored: Sequence[str], wanted: Sequence[str]) -> bytes:
    every = dict(zip(stored, array("d", values), strict=True))
    return array("d", [every[name] for name in wanted]).tobytes()


def storable(text: str) -> bool:
    """Lone surrogates are not Unicode text; SQLite refuses them."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
