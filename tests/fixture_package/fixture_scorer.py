"""A scorer of tests that takes any text of any language: the share of a hash of it, so that nothing is learned."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from detoxbench.core.scorers.base import Scorer, Scores


class FixtureScorer(Scorer):
    """See the module."""

    name = "fixture"
    version = "1"
    attributes = ("toxicity",)

    def __init__(self, languages: frozenset[str] | None = None, fails: str = ""):
        self.languages, self.fails = languages, fails

    @classmethod
    def from_spec(cls, argument: str, **options: Any) -> FixtureScorer:
        """``fixture`` takes every language, ``fixture:en+fr`` these; ``fixture:!en`` fails at all texts in English."""
        if argument.startswith("!"):
            return cls(fails=argument[1:])
        return cls(frozenset(argument.split("+")) if argument else None)

    def score(self, texts: Sequence[str], lang: str, prompts: Sequence[str] | None = None) -> Scores:
        if lang == self.fails:
            return Scores({"toxicity": np.full(len(texts), np.nan)}, ["the server is gone"] * len(texts))
        values = [
            int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:2], "big") / 2**16
            if text.strip()
            else float("nan")
            for text in texts
        ]
        return Scores({"toxicity": np.array(values)}, [None if text.strip() else "empty text" for text in texts])
