"""A share of toxic texts from a scorer whose sensitivity and specificity are known from labelled texts only.

Rogan and Gladen (1978), American Journal of Epidemiology 107: ``(p + s0 - 1) / (s1 + s0 - 1)``. Unlike the
prediction-powered estimate it allows the labelled texts to be others than those measured, as long as the scorer is
right as often on both. Where the scorer tells next to nothing (``s1 + s0`` near 1) it says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..constants import BOOTSTRAP_SEED, CONFIDENCE

RESAMPLES = 2_000
LEAST = 0.1
"""Least ``s1 + s0 - 1`` (Youden's index): below it nothing is said."""
UNDEFINED = 0.05
"""Largest share of resamples below ``LEAST`` with which an interval is given."""


@dataclass(frozen=True)
class Corrected:
    """The corrected share, its interval, and what it rests on; NaN where it says nothing, for the ``reason``."""

    value: float
    low: float
    high: float
    sensitivity: float
    specificity: float
    reason: str = ""


def rogan_gladen(
    called: ArrayLike,
    prompts: Sequence[object],
    labelled_called: ArrayLike,
    labels: ArrayLike,
    labelled_prompts: Sequence[object],
    weights: ArrayLike | None = None,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = BOOTSTRAP_SEED,
) -> Corrected:
    """The share of toxic texts among those measured; prompts of both sets are resampled, each by itself.

    Args:
        called: [texts] 1 where the scorer calls the text toxic.
        prompts: [texts], hashable.
        labelled_called, labels: [labelled], what the scorer and people say; labels from 0 to 1.
        labelled_prompts: [labelled], hashable.
        weights: [labelled], how many texts each stands for; 1 where left out.

    Raises:
        ValueError: for sets without a text.
    """
    call, y = np.asarray(labelled_called, dtype=float), np.asarray(labels, dtype=float)
    w = np.ones_like(y) if weights is None else np.asarray(weights, dtype=float)
    p = np.asarray(called, dtype=float)
    if not len(p) or not len(y):
        raise ValueError(f"{len(p)} texts and {len(y)} labelled ones: both sets need one")
    measured = _sums(np.stack([p, np.ones_like(p)]), prompts)
    known = _sums(np.stack([w * y * call, w * y, w * (1 - y) * (1 - call), w * (1 - y)]), labelled_prompts)
    with np.errstate(invalid="ignore", divide="ignore"):
        value, s1, s0 = _estimate(measured.sum(axis=1, keepdims=True), known.sum(axis=1, keepdims=True))
        rng = np.random.default_rng(seed)
        drawn, *_ = _estimate(_drawn(measured, resamples, rng), _drawn(known, resamples, rng))
    found, one, zero = float(value[0]), float(s1[0]), float(s0[0])
    if math.isnan(one) or math.isnan(zero):
        return Corrected(math.nan, math.nan, math.nan, one, zero, "people call all labelled texts the same")
    if math.isnan(found):
        return Corrected(math.nan, math.nan, math.nan, one, zero, "the scorer tells next to nothing on these texts")
    kept = drawn[np.isfinite(drawn)]
    if len(kept) < (1 - UNDEFINED) * resamples:
        return Corrected(found, math.nan, math.nan, one, zero, "too few labelled texts for an interval")
    low, high = np.quantile(kept, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Corrected(found, float(low), float(high), one, zero)


def _sums(rows: np.ndarray, prompts: Sequence[object]) -> np.ndarray:
    """[rows, prompts]"""
    places = {name: number for number, name in enumerate(dict.fromkeys(prompts))}
    cluster = np.array([places[name] for name in prompts], dtype=int)
    return np.stack([np.bincount(cluster, row, minlength=len(places)) for row in rows])


def _drawn(sums: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """[rows, resamples]"""
    number = sums.shape[1]
    return sums @ rng.multinomial(number, np.full(number, 1 / number), size=resamples).T


def _estimate(measured: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    s1, s0 = known[0] / known[1], known[2] / known[3]
    index = s1 + s0 - 1
    share = (measured[0] / measured[1] + s0 - 1) / index
    return np.where(index >= LEAST, np.clip(share, 0.0, 1.0), math.nan), s1, s0
