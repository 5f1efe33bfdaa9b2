"""Scores of many texts with progress: what a long run shows while it waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .base import Scorer, Scores, check_language, supports
from .languages import AnyLanguage

CHUNK = 8192
"""Texts between two reports of a scorer that does not report by itself."""


def score_all(scorer: Scorer, texts: Sequence[str], lang: str, on_scored: Callable[[int], object]) -> Scores:
    """``scorer.score(texts, lang)``, calling ``on_scored`` with numbers of finished texts that add up to all.

    Raises:
        DetoxbenchError: for a language that the scorer does not support, before anything is scored.
    """
    inner = scorer
    if isinstance(scorer, AnyLanguage):
        if not supports(scorer.scorer, lang):
            on_scored(len(texts))
            return scorer.score(texts, lang)
        inner = scorer.scorer
    check_language(inner, lang)
    done = 0

    def count(number: int) -> None:
        nonlocal done
        done += number
        on_scored(number)

    if getattr(inner, "reports_progress", False):
        scores = inner.score(texts, lang, count)  # type: ignore[call-arg]
    elif hasattr(inner, "score_each") or len(texts) <= CHUNK:
        scores = inner.score(texts, lang)
    else:
        parts = []
        for start in range(0, len(texts), CHUNK):
            parts.append(inner.score(texts[start : start + CHUNK], lang))
            count(len(parts[-1].reasons))
        scores = joined(parts)
    on_scored(len(texts) - done)  # those that failed, or were never asked for
    return scores


def joined(parts: Sequence[Scores]) -> Scores:
    """The scores of consecutive parts of a list of texts, at least one."""
    retry = any(part.retry for part in parts)
    return Scores(
        {name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values},
        [reason for part in parts for reason in part.reasons],
        parts[0].absent,
        [again for part in parts for again in (part.retry or [False] * len(part.reasons))] if retry else (),
    )
