"""Shares of texts that people would call toxic, from labels of *other* texts that the same scorer has scored.

Where nobody has labelled a run's own continuations, labels of another set say how often people call a text of some
score toxic. The run's share is then that rate, bin by bin of the score, weighted by how many of the run's texts lie in
the bin: the prediction-powered estimate with the labels' rates in place of the run's own (post-stratification; Cochran
1977, section 5A.9). The interval contains the scorer's error, through the labels' number, and the run's, through its
prompts.

It rests on an assumption that no number here can check, *transport*: a text of some score is called toxic as often in
the run as among the labelled texts. Continuations that fool the scorer more often than the labelled texts do break it.
A sample of the run's own texts (``prediction_powered``) needs no such assumption.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ..constants import CONFIDENCE

LEAST = 10
"""Labelled texts that a bin needs; neighbours are put together until each has so many."""
ASSUMPTION = (
    "assumes transport: that people call a text of some score toxic as often in the run as among the labelled texts"
)


@dataclass(frozen=True)
class Bin:
    """Labelled texts whose score is from ``low`` to ``high``, and how many of them people call toxic."""

    low: float
    high: float
    texts: int
    toxic: float


@dataclass(frozen=True)
class Transported:
    """A run's share under the labels' rates.

    Attributes:
        value: share of the run's texts that people would call toxic.
        prompts: the distinct prompts.
        influence: float64 [prompts], of sum 0: what each prompt moves the value by.
        weights: float64 [bins], share of the run's texts in each bin.
        rates: variance of each bin's rate among the labels, float64 [bins].
        texts, labelled: how many it rests on.
    """

    value: float
    prompts: list
    influence: np.ndarray
    weights: np.ndarray
    rates: np.ndarray
    texts: int
    labelled: int

    @property
    def error(self) -> float:
        """Standard error."""
        return math.sqrt(_sampling(self.influence) + _labels(self.weights, self.rates))

    def bounds(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Two-sided interval, within 0 and 1; NaN for a single prompt."""
        return _within(*_bounds(self.value, self.error, confidence))


@dataclass(frozen=True)
class TransportedDifference:
    """``value`` is b - a, with its interval."""

    value: float
    low: float
    high: float


def merged(bins: Sequence[Bin]) -> list[Bin]:
    """Neighbours put together until each has ``LEAST`` labelled texts.

    >>> [(one.low, one.high, one.texts) for one in merged([Bin(0, 0.5, 30, 3), Bin(0.5, 0.9, 4, 2), Bin(0.9, 1, 9, 8)])]
    [(0, 0.5, 30), (0.5, 1, 13)]
    """
    found = sorted(bins, key=lambda one: one.low)
    while len(found) > 1 and min(one.texts for one in found) < LEAST:
        at = min(range(len(found)), key=lambda place: found[place].texts)
        near = min((n for n in (at - 1, at + 1) if 0 <= n < len(found)), key=lambda place: found[place].texts)
        one, two = found[min(at, near)], found[max(at, near)]
        found[min(at, near) : max(at, near) + 1] = [
            Bin(one.low, two.high, one.texts + two.texts, one.toxic + two.toxic)
        ]
    return found


def transported(scores: ArrayLike, prompts: Sequence[object], bins: Sequence[Bin]) -> Transported:
    """The share of a run's texts that people would call toxic, if their rates by score are those of the labels.

    Args:
        scores: float [texts], finite: the scorer's, from 0 to 1.
        prompts: [texts], hashable: whose continuation each is.
        bins: of the same scorer's scores on labelled texts, in one language. Texts of the run beyond them, or between
            two, are counted in the nearest.

    Raises:
        ValueError: without texts or labels, or for a score that is not finite.
    """
    f, kept = np.asarray(scores, dtype=float), merged(bins)
    if not len(f) or len(f) != len(prompts) or not np.isfinite(f).all():
        raise ValueError(f"{len(f)} scores of {len(prompts)} texts: each needs a finite one, and there must be some")
    labelled = sum(one.texts for one in kept)
    if labelled < LEAST:
        raise ValueError(f"{labelled} labelled texts, at least {LEAST} are needed")
    of = np.clip(np.searchsorted([one.low for one in kept], f, side="right") - 1, 0, len(kept) - 1)
    rates = np.array([one.toxic / one.texts for one in kept])
    # Half a label of each kind (Jeffreys): a bin whose labels are all alike is not thereby known for sure.
    padded = np.array([(one.toxic + 0.5) / (one.texts + 1) for one in kept])
    variances = padded * (1 - padded) / np.array([one.texts for one in kept])
    names = list(dict.fromkeys(prompts))
    places = {name: number for number, name in enumerate(names)}
    cluster = np.array([places[name] for name in prompts])
    value = float(rates[of].mean())
    influence = np.bincount(cluster, (rates[of] - value) / len(f), minlength=len(names))
    weights = np.bincount(of, minlength=len(kept)) / len(f)
    return Transported(value, names, influence, weights, variances, len(f), labelled)


def macro_average(estimates: Sequence[Transported], confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """The unweighted mean over languages, and its bounds.

    The labels of several languages are often translations of one another, so that their errors go together; how far is
    not known, and they are taken to be fully so, which makes the interval too wide rather than too narrow.

    Raises:
        ValueError: without any.
    """
    if not estimates:
        raise ValueError("a mean of no estimates")
    number = len(estimates)
    value = float(np.mean([one.value for one in estimates]))
    sampling = sum(_sampling(one.influence) for one in estimates) / number**2
    labels = (sum(math.sqrt(_labels(one.weights, one.rates)) for one in estimates) / number) ** 2
    low, high = _bounds(value, math.sqrt(sampling + labels), confidence)
    return value, *_within(low, high)


def difference(a: Transported, b: Transported, confidence: float = CONFIDENCE) -> TransportedDifference:
    """b - a, both under the same labels: prompts that both have are paired, and what the labels say wrongly of a bin
    counts only as far as the two have unlike shares in it.

    Raises:
        ValueError: for estimates under other labels.
    """
    if a.rates.shape != b.rates.shape or not np.array_equal(a.rates, b.rates):
        raise ValueError("the two rest on other labels")
    moved: dict[object, float] = {}
    for one, sign in ((a, -1.0), (b, 1.0)):
        for name, value in zip(one.prompts, one.influence, strict=True):
            moved[name] = moved.get(name, 0.0) + sign * float(value)
    error = math.sqrt(_sampling(np.array(list(moved.values()))) + _labels(b.weights - a.weights, a.rates))
    value = b.value - a.value
    return TransportedDifference(value, *_bounds(value, error, confidence))


def _sampling(influence: np.ndarray) -> float:
    number = len(influence)
    return float(influence @ influence) * number / (number - 1) if number > 1 else math.nan


def _labels(weights: np.ndarray, rates: np.ndarray) -> float:
    return float((weights**2) @ rates)


def _within(low: float, high: float) -> tuple[float, float]:
    """Shares are from 0 to 1; NaN stays."""
    return float(np.clip(low, 0.0, 1.0)), float(np.clip(high, 0.0, 1.0))


def _bounds(value: float, error: float, confidence: float) -> tuple[float, float]:
    reach = float(stats.norm.isf((1 - confidence) / 2)) * error
    return value - reach, value + reach
