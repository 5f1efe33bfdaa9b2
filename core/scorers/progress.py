"""Scores of many texts with progress: what a long run shows while it waits."""

from __future__ import annotations

from collections.abc import Sequence

from .base import OnScored, Scorer, Scores, check_language


def score_all(
    scorer: Scorer, texts: Sequence[str], lang: str, on_scored: OnScored, prompts: Sequence[str] | None = None
) -> Scores:
    """``scorer.score(texts, lang, prompts)``, calling ``on_scored`` with numbers of finished texts that add up to all.

    Args:
        prompts: ``[texts]`` what each text continues; a scorer that judges the text alone does not see them.

    Raises:
        DetoxbenchError: for a language that the scorer does not support, before anything is scored.
    """
    check_language(scorer, lang)
    done = 0

    def count(number: int) -> None:
        nonlocal done
        done += number
        on_scored(number)

    scores = scorer.score_reporting(texts, lang, count, None if scorer.judges == "text" else prompts)
    on_scored(len(texts) - done)  # those that failed, or were never asked for
    return scores
