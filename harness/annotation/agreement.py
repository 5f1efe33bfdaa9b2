"""How far raters agree with each other, and each with themselves on texts that came twice."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import cohen_kappa_score

from ...core.constants import BOOTSTRAP_SEED, CONFIDENCE
from ...core.statistics import interval as shares_interval
from ...core.validity.annotators import krippendorff_alpha

RESAMPLES = 1_000

NOTHING: dict[str, float | None] = {"value": None, "low": None, "high": None}


def agreement(ratings: np.ndarray, prompts: Sequence[Hashable], seed: int = BOOTSTRAP_SEED) -> dict[str, Any]:
    """Krippendorff's alpha (ordinal), and Cohen's kappa with quadratic weights averaged over pairs of raters.

    Args:
        ratings: float64 [texts, raters], NaN where there is none.
        prompts: [texts]: prompts are what is resampled.

    Returns:
        ``texts`` rated twice or more, and each figure as ``{"value", "low", "high"}``, None where it is undefined.
    """
    several = np.isfinite(ratings).sum(axis=1) >= 2
    kept = ratings[several]
    found: dict[str, Any] = {"texts": int(several.sum()), "alpha": NOTHING, "kappa": NOTHING}
    if len(kept):
        counts = _counts([name for name, has in zip(prompts, several, strict=True) if has], seed)
        found["alpha"] = interval(lambda drawn: krippendorff_alpha(kept, drawn), counts)
        found["kappa"] = interval(lambda drawn: _mean_kappa(kept, drawn), counts)
    return found


def self_agreement(
    first: np.ndarray, second: np.ndarray, prompts: Sequence[Hashable], seed: int = BOOTSTRAP_SEED
) -> dict[str, Any]:
    """The same raters on the same texts, twice: share of equal answers, and kappa with quadratic weights.

    Args:
        first, second: float64 [texts shown twice, raters].
        prompts: [texts shown twice].
    """
    pairs = np.isfinite(first) & np.isfinite(second)
    found: dict[str, Any] = {"answers": int(pairs.sum()), "same": NOTHING, "kappa": NOTHING}
    if pairs.any():
        text, _ = np.nonzero(pairs)
        one, other = first[pairs], second[pairs]
        counts = _counts([prompts[place] for place in text], seed)
        found["same"] = _share(one == other, [prompts[place] for place in text])
        found["kappa"] = interval(lambda drawn: np.array([_kappa(one, other, weights) for weights in drawn]), counts)
    return found


def _share(same: np.ndarray, prompts: Sequence[Hashable]) -> dict[str, float | None]:
    """A share of answers, with the interval of shares: resampling a few alike ones has no width."""
    places = {name: number for number, name in enumerate(dict.fromkeys(prompts))}
    owner = [places[name] for name in prompts]
    found = shares_interval(np.bincount(owner, same), np.bincount(owner))
    low, high = (None if math.isnan(bound) else bound for bound in (found.low, found.high))
    return {"value": found.value, "low": low, "high": high}


def interval(figure: Callable[[np.ndarray], np.ndarray], counts: np.ndarray) -> dict[str, float | None]:
    """A figure of counts [resamples, texts] -> [resamples], its first row the sample itself; 95% percentile bounds,
    none where the sample does not vary: that all agreed here is no proof that all always do."""
    drawn = figure(counts)
    value, kept = float(drawn[0]), drawn[1:][np.isfinite(drawn[1:])]
    if not math.isfinite(value):
        return NOTHING
    if len(kept) < 0.95 * (len(drawn) - 1) or counts.shape[1] < 2:
        return {**NOTHING, "value": value}
    low, high = np.quantile(kept, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return {"value": value, "low": float(low), "high": float(high)} if low < high else {**NOTHING, "value": value}


def _counts(prompts: Sequence[Hashable], seed: int) -> np.ndarray:
    """How often each text is there: [1 + resamples, texts], once each in the first row."""
    places = {name: number for number, name in enumerate(dict.fromkeys(prompts))}
    owner = np.array([places[name] for name in prompts], dtype=int)
    number = len(places)
    drawn = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), size=RESAMPLES)
    return np.concatenate([np.ones((1, number)), drawn])[:, owner]


def _mean_kappa(ratings: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Over the pairs of raters that share texts; NaN where none of them is defined."""
    found = []
    for one, other in itertools.combinations(range(ratings.shape[1]), 2):
        both = np.isfinite(ratings[:, one]) & np.isfinite(ratings[:, other])
        if both.sum() >= 2:
            a, b = ratings[both, one], ratings[both, other]
            found.append([_kappa(a, b, weights) for weights in counts[:, both]])
    if not found:
        return np.full(len(counts), math.nan)
    stacked = np.array(found)
    defined = np.isfinite(stacked)
    return _ratio(np.where(defined, stacked, 0.0).sum(axis=0), defined.sum(axis=0))


def _kappa(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> float:
    """NaN where all answers are the same: chance explains everything."""
    kept = weights > 0
    if len(np.unique(np.concatenate([one[kept], other[kept]]))) < 2:
        return math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        return float(
            cohen_kappa_score(
                one[kept].astype(int), other[kept].astype(int), weights="quadratic", sample_weight=weights[kept]
            )
        )


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.full(np.shape(top), math.nan), where=bottom > 0)
