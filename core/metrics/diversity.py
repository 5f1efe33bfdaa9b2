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


METRICS = tuple(
    Metric(
        f"dist{n}", f"Dist-{n}", True, "n-grams per word",
        f"Distinct {n}-grams over all words of the K generations of a prompt, mean over prompts.",
        "Li et al. 2016", partial(distinct, n=n), False,
    )
    for n in (1, 2, 3)
)  # fmt: skip
