"""Any scorer with an archive in front of it: a score is used only once it is durable, and asked for only once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ..errors import DetoxbenchError
from ..files import write_lines
from .archive import Key, Row, ScoreArchive, judged_text, text_sha256
from .base import OnScored, Save, Scorer, Scores, check_language
from .wrapper import Wrapper

NOT_ARCHIVED = "not in the archive (offline)"


class Archived(Wrapper):
    """The scorer under its own name and version. Each distinct text is asked for once, ever; a scorer that judges more
    than the text is asked once for each text after each prompt.

    Failures that may pass are not stored. What is returned is what the archive holds: if another process scored the
    same text first, its score is the one that both use.

    Args:
        scorer: what to ask for texts that are not stored.
        archive: an open archive, or the file of one, which is then opened when it is first needed.
        offline: never ask; texts that are not stored are unscored and listed in ``missing``. A scorer whose version is
            the date of an API takes that of the archive, which must hold one only, or the one asked for.
    """

    def __init__(self, scorer: Scorer, archive: ScoreArchive | Path | str, *, offline: bool = False):
        super().__init__(scorer)
        self.offline = offline
        self._given = archive
        self._missing: dict[tuple[str, bytes], str] = {}

    @property
    def missing(self) -> Mapping[tuple[str, bytes], str]:
        """(language, sha256 of the text) -> text, of all texts that were wanted offline and are not stored."""
        return self._missing

    @property
    def archived_in(self) -> Path:
        return self.archive.path

    def open(self) -> None:
        self.archive  # noqa: B018

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
        if not (self.offline and self.dated) or self.pinned:
            return self.scorer.version
        names = (self.name, *self.former_names)
        versions = list(dict.fromkeys(one for name in names for one in self.archive.versions(name)))
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
        self.open()
        return self.version if self.offline else self.scorer.ready()

    def key(self, lang: str) -> Key:
        """What the scores in that language are stored under."""
        return Key(self.name, self.version, self.attributes_for(lang), self.canonical(lang))

    def _stored(self, key: Key, hashes: Iterable[bytes]) -> dict[bytes, tuple[bytes, str | None]]:
        """What the archive holds under the scorer's name, and of the rest under the names that it had before."""
        wanted = set(hashes)
        found = self.archive.get(key, wanted)
        for name in self.former_names:
            found |= self.archive.get(replace(key, scorer=name), wanted - found.keys())
        return found

    def score(self, texts: Sequence[str], lang: str, prompts: Sequence[str] | None = None) -> Scores:
        """Archived scores, and new ones for the texts that the archive lacks (``Scorer.score``)."""
        return self.score_reporting(texts, lang, lambda _: None, prompts)

    def score_each(self, texts: Sequence[str], lang: str, save: Save, prompts: Sequence[str] | None = None) -> None:
        """All at once: what the archive holds need not be handed over piece by piece."""
        if texts:
            save(range(len(texts)), self.score(texts, lang, prompts))

    def score_reporting(
        self, texts: Sequence[str], lang: str, on_scored: OnScored, prompts: Sequence[str] | None = None
    ) -> Scores:
        """See ``Scorer``.

        Args:
            on_scored: called with numbers of texts as they are finished, stored ones at once; from any thread.

        Raises:
            DetoxbenchError: for a language that the scorer does not support.
        """
        check_language(self.scorer, lang)
        key = self.key(lang)
        before = [""] * len(texts) if prompts is None or self.judges == "text" else prompts
        # What is hashed, and kept, is the text with the prompt that it was judged after.
        kept = [judged_text(prompt, text) for prompt, text in zip(before, texts, strict=True)]
        hashes = [text_sha256(one) for one in kept]
        unique = {sha: place for place, sha in enumerate(hashes)}
        found = self._stored(key, unique)
        todo = [sha for sha in unique if sha not in found]
        failed: dict[bytes, str] = {}
        times = Counter(hashes)
        on_scored(len(hashes) - sum(times[sha] for sha in todo))
        if todo and self.offline:
            self._missing.update({(key.language, sha): kept[unique[sha]] for sha in todo})
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
                        rows.append(Row(sha, columns[row], reason, kept[unique[sha]]))
                if rows:
                    self.archive.put(key, rows)
                on_scored(sum(times[todo[place]] for place in places))

            places = [unique[sha] for sha in todo]
            given = None if prompts is None or self.judges == "text" else [prompts[place] for place in places]
            self.scorer.score_each([texts[place] for place in places], lang, save, given)
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
        write_lines(
            Path(path),
            ({"lang": lang, "sha256": sha.hex(), "text": text} for (lang, sha), text in self.missing.items()),
        )
        return len(self.missing)
