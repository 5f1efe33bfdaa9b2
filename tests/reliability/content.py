"""What a command left behind: whether every finished file can be read, and what is in them, dates and times aside."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

AT_WORK = (".lock", "-wal", "-shm", "-journal")
"""Ends of names of files that are not results."""
TIMES = {
    "seconds", "tokens_per_second", "date", "start_time", "end_time", "total_evaluation_time_seconds",
    "pretty_env_info", "git_hash", "total_seconds", "started", "ended", "time",
}  # fmt: skip
"""Keys of JSON whose values two undisturbed runs do not share."""
_SCORES = """
SELECT scorer, version, attributes, language, hex(text_sha256), text, hex("values"), reason
FROM scores JOIN sets ON sets.id = set_id JOIN texts ON texts.id = text_id
"""
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d[-:]\d\d[-:]\d\d(\.\d+)?)?( UTC|Z|\+00:00)?")


def finished(folder: Path) -> list[Path]:
    """Files that somebody may read: those whose names, and whose folders', do not begin with a dot."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not path.name.endswith(AT_WORK)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def partial(folder: Path) -> list[str]:
    """Names of what killed writers left."""
    return [path.name for path in folder.rglob(".*") if "partial" in path.name] if folder.exists() else []


def broken(folder: Path) -> list[str]:
    """Finished files that cannot be read."""
    found = []
    for path in finished(folder):
        try:
            plain(path)
        except (ValueError, sqlite3.Error, zipfile.BadZipFile) as error:
            found.append(f"{path.name}: {error}")
    return found


def plain(path: Path) -> Any:
    """The content of a file without what differs from run to run.

    Raises:
        ValueError, sqlite3.Error: if the file is not whole.
    """
    if path.suffix == ".json":
        return timeless(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".jsonl":
        return sorted(json.dumps(timeless(json.loads(line)), sort_keys=True) for line in path.open(encoding="utf-8"))
    if path.suffix == ".sqlite":
        return rows(path)
    if path.suffix == ".parquet":
        import pyarrow.parquet

        return timeless(pyarrow.parquet.read_table(path).to_pylist())
    if path.suffix in (".html", ".md", ".csv", ".svg", ".txt", ".js", ".log"):
        return _DATE.sub("DATE", path.read_text(encoding="utf-8"))
    if path.suffix == ".xlsx":
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist() if name != "docProps/core.xml"}
    return hashlib.sha256(path.read_bytes()).hexdigest()


def timeless(value: Any) -> Any:
    """The value without dates and times."""
    if isinstance(value, dict):
        return {key: timeless(inner) for key, inner in value.items() if key not in TIMES}
    if isinstance(value, list):
        return [timeless(inner) for inner in value]
    if isinstance(value, str):
        return _DATE.sub("DATE", value)
    return value if isinstance(value, int | float | bool) or value is None else repr(value)


def rows(path: Path) -> list[str]:
    """The scores that an archive holds, whose and of what, without their dates.

    Raises:
        ValueError, sqlite3.Error: if it is not whole.
    """
    with contextlib.closing(sqlite3.connect(path)) as archive:
        if archive.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise ValueError("not whole")
        known = archive.execute("SELECT count(*) FROM sqlite_master WHERE name = 'scores'").fetchone()[0]
        return sorted(map(repr, archive.execute(_SCORES))) if known else []


def differences(one: Path, other: Path) -> list[str]:
    """Files that only one of two folders has, or that hold something else."""
    sides = []
    for folder in (one, other):
        found: dict[str, list[Any]] = {}
        for path in finished(folder):
            found.setdefault(_DATE.sub("DATE", str(path.relative_to(folder))), []).append(plain(path))
        sides.append(found)
    names = sorted(sides[0].keys() | sides[1].keys())
    return [name for name in names if not _same(sides[0].get(name), sides[1].get(name))]


def _same(one: list[Any] | None, other: list[Any] | None) -> bool:
    return repr(one) == repr(other)
