"""Any scorer with an archive in front of it: a score is used only once it is durable, and asked for only once."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DetoxbenchError
from .archive import Key, Row, ScoreArchive, storable, text_sha256
from .base import Scorer, Scores, check_language

CHUNK = 1024
"""Texts that a scorer without ``score_each`` is given at a time: what a kill can cost."""

NOT_ARCHIVED = "not in the archive (offline)"


def score_each(scorer: Any, texts: Sequence[str], lang: str, save: Any) -> None:
    """``scorer.score_each``, or ``scorer.score`` of a chunk at a time."""
    if hasattr(scorer, "score_each"):
        scorer.score_each(texts, lang, save)
        return
    for start in range(0, len(texts), CHUNK):
        part = texts[start : start + CHUNK]
        save(range(start, start + len(part)), scorer.score(part, lang))


class Archived:
    """The scorer under its own name and version. Each distinct text is asked for once, ever.

    Failures that may pass are not stored. What is returned is what the archive holds: if another process scored the
    same text first, its score is the one that both use.

    Args:
        scorer: what to ask for texts that are not stored.
        archive: an open archive, or the file of one, which is then opened when it is first needed.
        offline: never ask; texts that are not stored are unscored and listed in ``missing``. A scorer whose version is
            the date of an API takes that of the archive, which must hold one only, or the one asked for.
    """

    reports_progress = True

    def __init__(self, scorer: Scorer, archive: ScoreArchive | Path | str, *, offline: bool = False):
        self.scorer = scorer
        self.offline = offline
        self._given = archive
        self.missing: dict[tuple[str, bytes], str] = {}
        """(language, sha256 of the text) -> text, of all texts that were wanted offline and are not stored."""

    @property
    def name(self) -> str:
        return self.scorer.name

    @property
    def attributes(self) -> tuple[str, ...]:
        return self.scorer.attributes

    @property
    def languages(self) -> frozenset[str] | None:
        return self.scorer.languages

    def __getattr__(self, name: str) -> Any:
        if name in ("scorer", "score_each"):  # answers are handed over by ``score`` alone
            raise AttributeError(name)
        return getattr(self.scorer, name)

    @cached_property
    def archive(self) -> ScoreArchive:
        if isinstance(self._given, ScoreArchive):
            return self._given
        return ScoreArchive(self._given, create=not self.offline)

    @property
    def version(self) -> str:
        """That of the scorer; offline, that of the archived scores.

        Raises:
            DetoxbenchError: if the archive has several and none was asked for.
        """
        return self._version

    @cached_property
    def _version(self) -> str:
        if not (self.offline and getattr(self.scorer, "dated", False)) or getattr(self.scorer, "pinned", False):
            return self.scorer.version
        versions = self.archive.versions(self.scorer.name)
        if len(versions) > 1:
            raise DetoxbenchError(
                f"the archive '{self.archive.path}' has scores of '{self.scorer.name}' of several versions, which are "
                f"not comparable: choose one with {self.scorer.name}:version=… from {', '.join(versions)}"
            )
        return versions[0] if versions else self.scorer.version

    def ready(self) -> object:
        """Open the archive and check what the scorer needs for answering, before a long run depends on it.

        Raises:
            DetoxbenchError: for an archive that cannot be used; or as the scorer's own ``ready``.
        """
        self.archive  # noqa: B018
        if self.offline:
            return self.version
        return self.scorer.ready() if hasattr(self.scorer, "ready") else None  # type: ignore[attr-defined]

    def key(self, lang: str) -> Key:
        """What the scores in that language are stored under."""
        scorer: Any = self.scorer
        attributes = scorer.attributes_for(lang) if hasattr(scorer, "attributes_for") else scorer.attributes
        tag = scorer.canonical(lang) if hasattr(scorer, "canonical") else lang
        return Key(scorer.name, self.version, tuple(attributes), tag)

    def score(self, texts: Sequence[str], lang: str, on_scored: Callable[[int], object] | None = None) -> Scores:
        """See ``Scorer``.

        Args:
            on_scored: called with numbers of texts as they are finished, stored ones at once; from any thread.

        Raises:
            DetoxbenchError: for a language that the scorer does not support.
        """
        check_language(self.scorer, lang)
        key = self.key(lang)
        hashes = [text_sha256(text) for text in texts]
        unique = dict(zip(hashes, texts, strict=True))
        found = self.archive.get(key, unique)
        todo = [sha for sha in unique if sha not in found]
        failed: dict[bytes, str] = {}
        times = Counter(hashes) if on_scored else {}
        if on_scored:
            on_scored(len(hashes) - sum(times[sha] for sha in todo))
        if todo and self.offline:
            self.missing.update({(key.language, sha): unique[sha] for sha in todo})
            failed = dict.fromkeys(todo, NOT_ARCHIVED)
        elif todo:

            def save(places: Sequence[int], scores: Scores) -> None:
                # In the thread that received the answers, before anybody sees them.
                columns = np.stack([scores.values[name] for name in key.attributes], axis=1)
                rows = []
                for row, place in enumerate(places):
                    sha, reason = todo[place], scores.reasons[row]
                    if scores.retry and scores.retry[row]:
                        failed[sha] = reason or "failed"
                    else:
                        rows.append(Row(sha, columns[row], reason, unique[sha]))
                if rows:
                    self.archive.put(key, rows)
                if on_scored:
                    on_scored(sum(times[todo[place]] for place in places))

            score_each(self.scorer, [unique[sha] for sha in todo], lang, save)
            found.update(self.archive.get(key, todo))
        return self._gather(key, hashes, found, failed)

    def _gather(self, key: Key, hashes: Sequence[bytes], found: dict, failed: dict[bytes, str]) -> Scores:
        nothing = np.full(len(key.attributes), np.nan).tobytes()
        rows = [found.get(sha) or (nothing, failed.get(sha, "no answer")) for sha in hashes]
        matrix = np.frombuffer(b"".join(values for values, _ in rows)).reshape(len(rows), len(key.attributes))
        absent = {name: f"not offered in '{key.language}'" for name in self.attributes if name not in key.attributes}
        values = {
            name: np.full(len(rows), np.nan) if name in absent else matrix[:, key.attributes.index(name)].copy()
            for name in self.attributes
        }
        retry = [sha not in found for sha in hashes] if failed else []
        return Scores(values, [reason for _, reason in rows], absent, retry)

    def write_missing(self, path: Path | str) -> int:
        """Write ``missing`` as lines of JSON, ``{"lang": …, "sha256": …, "text": …}``; how many is returned."""
        path = Path(path)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
            for (lang, sha), text in self.missing.items():
                line = {"lang": lang, "sha256": sha.hex(), "text": text}
                file.write(json.dumps(line, ensure_ascii=not storable(text)) + "\n")
        Path(file.name).chmod(0o644)
        os.replace(file.name, path)
        return len(self.missing)
