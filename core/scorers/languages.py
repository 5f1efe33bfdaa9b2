"""A scorer that leaves texts in languages which it does not support unscored, instead of refusing them."""

from __future__ import annotations

from collections.abc import Sequence

from .base import OnScored, Save, Scores, supports, unscored
from .wrapper import Wrapper


class AnyLanguage(Wrapper):
    """``on_unsupported=nan``: the wrapped scorer under its own name and version, with ``languages`` None."""

    @property
    def languages(self) -> frozenset[str] | None:  # type: ignore[override]
        return None

    def _nothing(self, texts: Sequence[str], lang: str) -> Scores:
        return unscored(self.attributes, f"language '{lang}' is not supported by {self.name}", len(texts))

    def score(self, texts: Sequence[str], lang: str, prompts: Sequence[str] | None = None) -> Scores:
        """As the scorer does; NaN and a reason for every text of a language that it does not support."""
        return super().score(texts, lang, prompts) if supports(self.scorer, lang) else self._nothing(texts, lang)

    def score_each(self, texts: Sequence[str], lang: str, save: Save, prompts: Sequence[str] | None = None) -> None:
        if supports(self.scorer, lang):
            super().score_each(texts, lang, save, prompts)
        elif texts:
            save(range(len(texts)), self._nothing(texts, lang))

    def score_reporting(
        self, texts: Sequence[str], lang: str, on_scored: OnScored, prompts: Sequence[str] | None = None
    ) -> Scores:
        if supports(self.scorer, lang):
            return super().score_reporting(texts, lang, on_scored, prompts)
        return self._nothing(texts, lang)
