"""Whether two scorers put the same runs in the same order: Kendall's tau-b, with prompts resampled.

Both scorers judge the same texts, so that a prompt is drawn for all runs and both scorers at once. Languages are
resampled within themselves; the macro-average of a run is the unweighted mean over languages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..constants import BOOTSTRAP_SEED, CONFIDENCE

RESAMPLES = 1_000
"""Draws: tau takes few values where runs are few, so that more would change nothing that is printed."""
LEAST = 3
"""Runs: the order of two is the same or it is not."""
CHUNK = 64
Side = tuple[np.ndarray, np.ndarray]
"""Numerators and denominators of each run on each prompt, both float [runs, prompts]."""


@dataclass(frozen=True)
class RankAgreement:
    """Kendall's tau-b of the runs' values under two scorers.

    Attributes:
        tau: from -1 (turned round) to 1 (the same order); NaN where all runs of a scorer are tied.
        low, high: 2.5% and 97.5% quantiles over draws of prompts; NaN where there are none.
        runs, prompts: how many it rests on.
        reason: why there is no number; empty where there is.
    """

    tau: float
    low: float
    high: float
    runs: int
    prompts: int
    reason: str = ""


def kendall_tau_b(one: np.ndarray, other: np.ndarray) -> float:
    """Tau-b of two lists of values; NaN where all values of a list are tied (``scipy.stats.kendalltau``)."""
    # The p-value is not used: this one costs least.
    return float(stats.kendalltau(one, other, variant="b", method="asymptotic").statistic)  # type: ignore[attr-defined]


def rank_agreement(
    groups: Sequence[tuple[Side, Side]], *, resamples: int = RESAMPLES, seed: int = BOOTSTRAP_SEED
) -> RankAgreement:
    """Agreement of two scorers on the order of runs.

    Args:
        groups: of each language, the runs under one scorer and under the other: arrays [runs, prompts], the same runs
            in the same order in all, and the same prompts in both of a language.
        resamples: draws of prompts.

    Raises:
        ValueError: for arrays that do not match.
    """
    shapes = [side.shape for pair in groups for both in pair for side in both]
    runs = {shape[0] for shape in shapes}
    if len(runs) != 1 or any(len({side.shape for both in pair for side in both}) != 1 for pair in groups):
        raise ValueError(f"every side needs the same runs, and those of a language the same prompts, given {shapes}")
    (number,) = runs
    prompts = sum(pair[0][0].shape[1] for pair in groups)
    if number < LEAST:
        return RankAgreement(math.nan, math.nan, math.nan, number, prompts, f"fewer than {LEAST} runs have no order")
    whole = [[_values(side, np.ones((1, side[0].shape[1])))[:, 0] for side in pair] for pair in groups]
    one, other = np.mean(whole, axis=0)
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return RankAgreement(math.nan, math.nan, math.nan, number, prompts, "a run has no value")
    tau = kendall_tau_b(one, other)
    if not math.isfinite(tau):
        return RankAgreement(math.nan, math.nan, math.nan, number, prompts, "all runs are tied under a scorer")
    drawn = _drawn(groups, resamples, np.random.default_rng(seed))
    taus = np.array([kendall_tau_b(*pair) for pair in drawn if np.isfinite(pair).all()])
    taus = taus[np.isfinite(taus)]
    if not len(taus):
        return RankAgreement(tau, math.nan, math.nan, number, prompts, "no draw of prompts gives an order")
    low, high = np.quantile(taus, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return RankAgreement(tau, float(low), float(high), number, prompts)


def _values(side: Side, counts: np.ndarray) -> np.ndarray:
    """Of each run in each draw: [runs, draws]; NaN where nothing was measured."""
    numerators, denominators = side
    bottom = denominators @ counts.T
    found = np.full(bottom.shape, np.nan)
    return np.divide(numerators @ counts.T, bottom, out=found, where=bottom > 0)


def _drawn(groups: Sequence[tuple[Side, Side]], resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Macro-averages of the runs under both scorers in each draw: [resamples, 2, runs]."""
    parts = []
    for start in range(0, resamples, CHUNK):
        total = 0.0
        for pair in groups:
            prompts = pair[0][0].shape[1]
            rows = rng.integers(0, prompts, size=(min(CHUNK, resamples - start), prompts))
            counts = np.stack([np.bincount(row, minlength=prompts) for row in rows]).astype(float)
            total = total + np.stack([_values(side, counts).T for side in pair], axis=1)
        parts.append(total / len(groups))
    return np.concatenate(parts)
