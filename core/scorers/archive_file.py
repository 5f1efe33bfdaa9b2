"""The SQLite file of a score archive: its tables, how it is opened, made or brought up to date, and its transactions.

A transaction is on the disk when it ends (write-ahead log, ``synchronous=FULL``). Processes on one machine may use one
file at the same time; network file systems do not support that.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import DetoxbenchError
from ..files import WriteError
from ..folders import expanded

APPLICATION = 0x64746F78
"""Marks the file as ours (``dtox``)."""

SCHEMA = 2
"""1 had scores and texts by hash; it is read, and becomes 2 when it is first opened."""
BUSY_SECONDS = 120.0
"""How long to wait for another process that writes."""

CACHE_KIB = 262_144
"""Of pages kept in memory: the hashes of some millions of texts."""

_SETS = """
CREATE TABLE IF NOT EXISTS sets (
    id INTEGER PRIMARY KEY, scorer TEXT NOT NULL, version TEXT NOT NULL, attributes TEXT NOT NULL,
    language TEXT NOT NULL, UNIQUE (scorer, version, language, attributes)
);
"""
_TABLES = """
CREATE TABLE texts (id INTEGER PRIMARY KEY, text_sha256 BLOB NOT NULL, text TEXT);
CREATE TABLE places (text_sha256 BLOB PRIMARY KEY, id INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE recent (text_sha256 BLOB PRIMARY KEY, id INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE scores (
    set_id INTEGER NOT NULL REFERENCES sets, text_id INTEGER NOT NULL REFERENCES texts, "values" BLOB NOT NULL,
    reason TEXT, scored_at INTEGER, PRIMARY KEY (set_id, text_id)
) WITHOUT ROWID;
"""
_FROM_1 = f"""
ALTER TABLE scores RENAME TO scores_1;
ALTER TABLE texts RENAME TO texts_1;
{_TABLES}
INSERT INTO texts (text_sha256, text) SELECT text_sha256, text
    FROM (SELECT text_sha256 FROM scores_1 UNION SELECT text_sha256 FROM texts_1) LEFT JOIN texts_1 USING (text_sha256)
    ORDER BY text_sha256;
INSERT INTO places SELECT text_sha256, id FROM texts ORDER BY text_sha256;
INSERT INTO scores SELECT set_id, id, "values", reason, scored_at
    FROM scores_1 JOIN places USING (text_sha256) ORDER BY set_id, id;
DROP TABLE scores_1;
DROP TABLE texts_1;
"""


class ArchiveFile:
    """An archive's file, open. May be used by several threads.

    Args:
        path: the file; it and its folder are made if they do not exist.
        create: False refuses a file that does not exist.

    Raises:
        DetoxbenchError: for a file that is something else, or of a later version, or cannot be written.
    """

    def __init__(self, path: Path | str, *, create: bool = True):
        self.path = expanded(path)
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
        # Both in one view of the file: another process may be making it.
        self._db.execute("BEGIN")
        application, tables, version = self._about()
        self._db.execute("COMMIT")
        if tables and application != APPLICATION:
            raise DetoxbenchError(f"'{self.path}' is an SQLite file of something else, not a score archive")
        if version > SCHEMA:
            raise DetoxbenchError(f"'{self.path}' was written by a later detoxbench: upgrade to read it")
        self._write_ahead()
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        if (application, version) != (APPLICATION, SCHEMA):
            with self._transaction():
                application, _, version = self._about()  # somebody else may have made it meanwhile
                if (application, version) == (APPLICATION, SCHEMA):
                    return
                for statement in (_FROM_1 if application == APPLICATION else _SETS + _TABLES).split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA application_id = {APPLICATION}")
                self._db.execute(f"PRAGMA user_version = {SCHEMA}")

    def _about(self) -> tuple[int, int, int]:
        """Whose file it is, its number of tables, and its version, within a transaction."""
        tables = self._one("SELECT count(*) FROM sqlite_master")  # begins the reading
        return self._one("PRAGMA application_id"), tables, self._one("PRAGMA user_version")

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
                self._db.execute("COMMIT")  # where a full disk may show as well
            except BaseException:
                # SQLite has rolled back by itself after some errors, a full disk among them.
                with contextlib.suppress(sqlite3.Error):
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction whose failure is one line.

        Raises:
            WriteError: naming the archive and the cause; nothing of it is stored.
        """
        try:
            with self._transaction():
                yield
        except sqlite3.Error as error:
            what = "the disk is full" if "full" in str(error) else str(error)
            raise WriteError(
                f"cannot write the score archive '{self.path}': {what}; what was stored before is safe"
            ) from None

    def close(self) -> None:
        with self._lock:
            self._db.close()
