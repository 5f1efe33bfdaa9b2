"""A scorer in front of another one: everything that is not changed is the other one's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .base import OnScored, Save, Scorer, Scores


class Wrapper(Scorer):
    """The wrapped scorer under its own name and version. Subclasses change what they are for.

    Args:
        scorer: the wrapped one.
    """

    def __init__(self, scorer: Scorer):
        self.scorer = scorer

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.scorer.name

    @property
    def version(self) -> str:  # type: ignore[override]
        return self.scorer.version

    @property
    def attributes(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.scorer.attributes

    @property
    def languages(self) -> frozenset[str] | None:  # type: ignore[override]
        return self.scorer.languages

    @property
    def direction(self) -> str:  # type: ignore[override]
        return self.scorer.direction

    @property
    def judges(self) -> str:  # type: ignore[override]
        return self.scorer.judges

    @property
    def former_names(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.scorer.former_names

    @property
    def dated(self) -> bool:  # type: ignore[override]
        return self.scorer.dated

    @property
    def pinned(self) -> bool:  # type: ignore[override]
        return self.scorer.pinned

    @property
    def durable(self) -> bool:  # type: ignore[override]
        return self.scorer.durable

    @property
    def composite(self) -> bool:  # type: ignore[override]
        return self.scorer.composite

    @property
    def all_at_once(self) -> bool:  # type: ignore[override]
        return self.scorer.all_at_once

    @property
    def card(self) -> Mapping[str, Any]:  # type: ignore[override]
        return self.scorer.card

    @property
    def validity(self) -> Mapping[str, Any]:
        return self.scorer.validity

    @property
    def missing(self) -> Mapping[tuple[str, bytes], str]:
        return self.scorer.missing

    @property
    def archived_in(self) -> Path | None:
        return self.scorer.archived_in

    def write_missing(self, path: Path | str) -> int:
        return self.scorer.write_missing(path)

    def ready(self) -> object:
        return self.scorer.ready()

    def open(self) -> None:
        self.scorer.open()

    def canonical(self, lang: str) -> str:
        return self.scorer.canonical(lang)

    def attributes_for(self, lang: str) -> tuple[str, ...]:
        return self.scorer.attributes_for(lang)

    def score(self, texts: Sequence[str], lang: str, prompts: Sequence[str] | None = None) -> Scores:
        return self.scorer.score(texts, lang, prompts)

    def score_each(self, texts: Sequence[str], lang: str, save: Save, prompts: Sequence[str] | None = None) -> None:
        self.scorer.score_each(texts, lang, save, prompts)

    def score_reporting(
        self, texts: Sequence[str], lang: str, on_scored: OnScored, prompts: Sequence[str] | None = None
    ) -> Scores:
        return self.scorer.score_reporting(texts, lang, on_scored, prompts)
