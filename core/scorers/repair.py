"""Archives that hold a "no score" which was no refusal of the text: those rows go, and are asked for again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from .archive import Key, ScoreArchive
from .refusals import NO_RATING, is_final, is_published_refusal

SERVICES = ("perspective", "judge:", "openai_moderation:")
"""Beginnings of the names of scorers that ask a server: what others say of a text is their last word."""


@dataclass(frozen=True)
class Poisoned:
    """Rows of one key that no refusal of a text explains.

    Attributes:
        key: whose.
        hashes: of the texts.
        reasons: why they are said to have no score -> how many.
    """

    key: Key
    hashes: tuple[bytes, ...]
    reasons: Counter[str]


def poisoned(archive: ScoreArchive) -> list[Poisoned]:
    """Every key of a service with rows that should not have been stored.

    A judge that rated nothing at all was set up wrongly (it thinks first, say): all that it did not rate counts.
    """
    found = []
    for key, texts in archive.sets():
        if not key.scorer.startswith(SERVICES):
            continue
        rows = [(row.text_sha256, row.reason or "") for row in archive.rows(key, texts=False, unscored=True)]
        nothing = len(rows) == texts
        bad = [
            (sha, reason)
            for sha, reason in rows
            if not (is_final(reason) or is_published_refusal(reason)) or (nothing and reason.startswith(NO_RATING))
        ]
        if bad:
            found.append(Poisoned(key, tuple(sha for sha, _ in bad), Counter(reason for _, reason in bad)))
    return found
