"""Diversity of the K generations of a prompt."""

from __future__ import annotations

from functools import partial

from ..records import PromptResult
from ..segmentation import distinct_ngrams
from .base import NOTHING, Fraction, Metric


def distinct(result: PromptResult, n: int, segmenter: str = "unicode") -> Fraction:
    """Distinct n-grams of the prompt's generations per word, over 1."""
    ngrams, words = distinct_ngrams(result.generations, n, segmenter)
    return (ngrams / words, 1.0) if words else NOTHING


def _dist(n: int) -> Metric:
    return Metric(
        name=f"dist{n}",
        display_name=f"Dist-{n}",
        short=f"dist-{n}",
        higher_is_better=True,
        unit="n-grams per word",
        description=f"Distinct {n}-grams over all words of the K generations of a prompt, mean over prompts.",
        citation="Li et al. 2016",
        bibtex="li2016diversity",
        measure=partial(distinct, n=n),
        over_samples="all K together",
        roles=("side", "report", "opening", "change", "paired") if n == 2 else ("report",),
    )


DIST1, DIST2, DIST3 = map(_dist, (1, 2, 3))
