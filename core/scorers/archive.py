"""A store of scores that outlasts the scorer: one SQLite file, safe to kill at any moment and to share.

A score is kept under the scorer, its version, the set of attributes asked for, the language and the sha256 of the text.
Scores of fewer attributes are found in a set that has more. The texts themselves are kept beside, unless told not to.

Texts are numbered as they come, and scores and texts are stored in that order: the only thing that lies all over the
file is the number of each hash (``places``). Hashes of late are in a small table of their own (``recent``) and go over
many at a time, so that a score costs as much in a full archive as in an empty one.

Every ``put`` is one transaction that is on the disk when it returns. How the file is opened, by several processes at
once too, is in ``archive_file``.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from ..folders import data_folder, expanded
from .archive_file import ArchiveFile

MANY = 1000
"""Texts looked up by one statement."""

RECENT = 32_768
"""Hashes that ``recent`` holds before they go to the others."""

_INDEXES = ("places", "recent")
"""Where the numbers of hashes are."""

_PUT = """
INSERT INTO scores VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    "values" = excluded."values", reason = excluded.reason, scored_at = excluded.scored_at
WHERE scores.reason IS NOT NULL AND excluded.reason IS NULL
"""
"""The first score stays: everybody who asks gets the same. Only a text without one may get one later."""


def default_path() -> Path:
    """``$DETOXBENCH_ARCHIVE``, else ``scores.sqlite`` in the data folder (``folders.data_folder``): not a cache, for it
    may hold what nobody can ask for again."""
    given = os.environ.get("DETOXBENCH_ARCHIVE")
    return expanded(given) if given else data_folder() / "scores.sqlite"


def judged_text(prompt: str, text: str) -> str:
    """What a score is of: the text, or, where it was judged after a prompt, both as one JSON list."""
    return json.dumps([prompt, text], ensure_ascii=False) if prompt else text


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


class ScoreArchive(ArchiveFile):
    """Scores by scorer, version, language and sha256 of the text, in one SQLite file. May be used by several threads.

    Args:
        path: the file; it and its folder are made if they do not exist.
        texts: keep the texts, which calibration and other scorers need later; hashes are always kept.
        create: False refuses a file that does not exist.

    Raises:
        DetoxbenchError: for a file that is something else, or of a later version, or cannot be written.
    """

    def __init__(self, path: Path | str, *, texts: bool = True, create: bool = True):
        super().__init__(path, create=create)
        self.keeps_texts = texts

    def __enter__(self) -> ScoreArchive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, key: Key, rows: Iterable[Row]) -> int:
        """Store rows; when this returns they are on the disk. How many were new is returned.

        Raises:
            ValueError: for a row with another number of values than the key has attributes.
            WriteError: if the disk is full or the file cannot be written; then nothing is stored.
        """
        now, rows = int(time.time()), list(rows)
        for row in rows:
            if len(row.values) != len(key.attributes):
                raise ValueError(f"{len(row.values)} values for the attributes {', '.join(key.attributes)}")
        if not rows:
            return 0
        with self._writing():
            owner, numbers = self._set(key), self._numbered(rows)
            scores = [
                (
                    owner,
                    numbers[row.text_sha256],
                    array("d", row.values).tobytes(),
                    row.reason,
                    now if row.scored_at is None else row.scored_at,
                )
                for row in rows
            ]
            before = self._db.total_changes
            # In the order of the file; of two of one text the first stays, for the sort is stable.
            self._db.executemany(_PUT, sorted(scores, key=itemgetter(1)))
            return self._db.total_changes - before

    def _numbered(self, rows: Sequence[Row]) -> dict[bytes, int]:
        """The numbers of the texts; those that had none get one. Texts that were not kept are."""
        texts: dict[bytes, str | None] = {}
        for row in rows:
            kept = row.text if self.keeps_texts and row.text is not None and storable(row.text) else None
            texts[row.text_sha256] = texts.get(row.text_sha256) or kept
        find = "SELECT text_sha256, id FROM {index} WHERE text_sha256 IN ({marks})"
        numbers: dict[bytes, int] = dict(self._select(sorted(texts), find))
        self._db.executemany(
            "UPDATE texts SET text = ? WHERE id = ? AND text IS NULL",
            ((texts[sha], number) for sha, number in numbers.items() if texts[sha] is not None),
        )
        start = (self._one("SELECT max(id) FROM texts") or 0) + 1
        new = {sha: number for number, sha in enumerate((sha for sha in sorted(texts) if sha not in numbers), start)}
        self._db.executemany("INSERT INTO texts VALUES (?, ?, ?)", ((new[sha], sha, texts[sha]) for sha in new))
        self._db.executemany("INSERT INTO recent VALUES (?, ?)", new.items())
        if self._one("SELECT count(*) FROM recent") > RECENT:
            self._db.execute("INSERT INTO places SELECT * FROM recent ORDER BY text_sha256")
            self._db.execute("DELETE FROM recent")
        return numbers | new

    def _select(self, hashes: Sequence[bytes], statement: str, *arguments: object) -> Iterator[tuple[Any, ...]]:
        """Rows of a statement with the hashes in it, many at a time, of each of the indexes."""
        for index in _INDEXES:
            for start in range(0, len(hashes), MANY):
                part = hashes[start : start + MANY]
                # One statement serves all full chunks.
                part = [*part, *[part[-1]] * (MANY - len(part))] if start else part
                full = statement.format(index=index, marks=",".join("?" * len(part)))
                with self._lock:
                    rows = self._db.execute(full, (*arguments, *part)).fetchall()
                yield from rows

    def _set(self, key: Key) -> int:
        found = self._owner(key)
        if found is None:
            names = (key.scorer, key.version, json.dumps(key.attributes), key.language)
            statement = "INSERT INTO sets (scorer, version, attributes, language) VALUES (?, ?, ?, ?)"
            found = self._db.execute(statement, names).lastrowid or 0
        return found

    def get(self, key: Key, hashes: Iterable[bytes]) -> dict[bytes, tuple[bytes, str | None]]:
        """What is stored for those texts: sha256 -> float64 values as bytes, in the order of ``key.attributes``, and
        the reason if they are NaN. Texts that are not stored are left out."""
        # In the order of the index, which is then read once.
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
        statement = (
            'SELECT text_sha256, "values", reason FROM {index} JOIN scores ON text_id = id '
            "WHERE set_id = ? AND text_sha256 IN ({marks})"
        )
        return {sha: (values, reason) for sha, values, reason in self._select(hashes, statement, owner)}

    def forget(self, key: Key, hashes: Iterable[bytes]) -> int:
        """Remove what is stored of those texts under that key, so that it is asked for again; how many were there.

        Raises:
            WriteError: see ``put``.
        """
        owner, wanted = self._owner(key), sorted(set(hashes))
        if owner is None:
            return 0
        with self._writing():
            places = self._select(wanted, "SELECT id FROM {index} WHERE text_sha256 IN ({marks})")
            numbers = {number for (number,) in places}
            before = self._db.total_changes
            self._db.executemany(
                "DELETE FROM scores WHERE set_id = ? AND text_id = ?", ((owner, number) for number in sorted(numbers))
            )
            return self._db.total_changes - before

    def _owner(self, key: Key) -> int | None:
        with self._lock:
            return self._one(
                "SELECT id FROM sets WHERE scorer = ? AND version = ? AND attributes = ? AND language = ?",
                (key.scorer, key.version, json.dumps(key.attributes), key.language),
            )

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

    def rows(self, key: Key, *, texts: bool = True, unscored: bool = False) -> Iterator[Row]:
        """All rows of exactly that key, in the order in which their texts came; the texts where they are kept.

        Args:
            texts: with the texts.
            unscored: only those without a score.
        """
        owner, last = self._owner(key), 0
        while owner is not None:
            # A page at a time, so that the lock is not held while the caller works.
            with self._lock:
                page = self._db.execute(
                    f'SELECT text_id, text_sha256, "values", reason, {"text" if texts else "NULL"}, scored_at '
                    "FROM scores JOIN texts ON id = text_id "
                    f"WHERE set_id = ? AND text_id > ? {'AND reason IS NOT NULL' if unscored else ''} "
                    "ORDER BY text_id LIMIT 10000",
                    (owner, last),
                ).fetchall()
            for _, sha, values, reason, text, at in page:
                yield Row(sha, array("d", values), reason, text, at)
            if not page:
                return
            last = page[-1][0]

    def stats(self) -> list[Mapping[str, object]]:
        """One entry a key: what it is, texts, texts without a score, and when the first and last were scored."""
        with self._lock:
            cursor = self._db.execute(
                "SELECT scorer, version, language, attributes, count(*) AS texts, "
                "count(reason) AS unscored, count(t.text) AS with_text, "
                "min(scored_at) AS first, max(scored_at) AS last "
                "FROM sets JOIN scores ON set_id = sets.id JOIN texts t ON t.id = text_id "
                "GROUP BY sets.id ORDER BY scorer, version, language, attributes"
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
