"""A scorer that leaves texts in languages which it does not support unscored, instead of refusing them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .base import Scorer, Scores, supports


class AnyLanguage:
    """``on_unsupported=nan``: the wrapped scorer under its own name and version, with ``languages`` None."""

    languages = None

    def __init__(self, scorer: Scorer):
        self.scorer = scorer

    @property
    def name(self) -> str:
        return self.scorer.name

    @property
    def version(self) -> str:
        return self.scorer.version

    @property
    def attributes(self) -> tuple[str, ...]:
        return self.scorer.attributes

    def __getattr__(self, name: str) -> Any:
        if name == "scorer":  # an instance that is being unpickled has none yet
            raise AttributeError(name)
        return getattr(self.scorer, name)

    def score(self, texts: Sequence[str], lang: str) -> Scores:
        """As the scorer does; NaN and a reason for every text of a language that it does not support."""
        if supports(self.scorer, lang):
            return self.scorer.score(texts, lang)
        nothing = {attribute: np.full(len(texts), np.nan) for attribute in self.scorer.attributes}
        return Scores(nothing, [f"language '{lang}' is not supported by {self.scorer.name}"] * len(texts))
