"""Shares and means of people's labels over all texts of a run, of which people have labelled a sample.

A scorer has judged every text and people a few. The scorer alone is precise and biased; the labels alone are unbiased
and noisy. The prediction-powered estimate is both: the mean prediction over all texts, plus the mean error of the
prediction on the labelled ones (Angelopoulos et al. 2023, Science 382; the weight that makes the variance smallest,
"PPI++", arXiv:2311.01453). Without anything labelled wrongly it is the scorer's mean; with a useless scorer, the
labels'.

The labelled texts are a random sample within strata (of the scorer's score): each stands for the texts of its stratum,
so that any allocation is allowed (Cochran 1977, section 5.3; Fisch et al. 2024, arXiv:2406.04291, for strata with
predictions). The texts of a prompt are alike: the variance is that of sums over prompts (linearisation), and labelled
texts are part of the whole, which it takes into account too. A stratum whose few labels are nearly all alike shows less
spread than there is, for the rare other kind is not among them and weighs much: to the variance is added what half a
label of each kind would bring (Jeffreys' prior; Brown, Cai and DasGupta 2001, Statistical Science 16).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ..constants import CONFIDENCE

LEAST = 2
"""Labelled texts that a stratum needs: the spread of one cannot be known."""


@dataclass(frozen=True)
class Powered:
    """A prediction-powered estimate.

    Attributes:
        value: of the mean label over all texts.
        weight: of the prediction, from 0 (the labels alone) to 1 (the prediction, corrected by the labels).
        prompts: the distinct prompts.
        influence: float64 [prompts], of sum 0: what each prompt moves the estimate by; the variance is that of its sum.
        unseen: variance for rare labels that the sample may have missed; independent between estimates.
        freedom: degrees of freedom of the standard error.
        texts, labelled: how many it rests on.
    """

    value: float
    weight: float
    prompts: np.ndarray
    influence: np.ndarray
    unseen: float
    freedom: float
    texts: int
    labelled: int

    @property
    def error(self) -> float:
        """Standard error."""
        return _error(self.influence, self.unseen)

    def bounds(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Two-sided interval, by Student's distribution; NaN where the spread cannot be known."""
        return _bounds(self.value, self.error, self.freedom, confidence)


@dataclass(frozen=True)
class PoweredDifference:
    """``value`` is b - a, with its interval."""

    value: float
    low: float
    high: float
    prompts: int


def prediction_powered(
    predictions: ArrayLike,
    prompts: Sequence[object],
    labels: ArrayLike,
    strata: Sequence[object] | None = None,
    *,
    weight: float | None = None,
) -> Powered:
    """The mean label over all texts, of which some are labelled.

    Args:
        predictions: float [texts], finite: the scorer's score, or what it calls the text.
        prompts: [texts], hashable: whose continuation each is.
        labels: float [texts] from 0 to 1: people's label, NaN where there is none. Those labelled are a random sample
            of their stratum.
        strata: [texts], hashable; one stratum where left out.
        weight: of the prediction, from 0 to 1; the one of the smallest variance where left out.

    Raises:
        ValueError: for lengths that differ, a prediction that is not finite, a stratum with fewer than ``LEAST``
            labelled texts (unless all of it is labelled), a weight out of its range.
    """
    f, y = np.asarray(predictions, dtype=float), np.asarray(labels, dtype=float)
    names = ["all"] * len(f) if strata is None else list(strata)
    if not len(f) == len(y) == len(prompts) == len(names):
        raise ValueError(f"{len(f)} predictions, {len(y)} labels, {len(prompts)} prompts and {len(names)} strata")
    if not len(f) or not np.isfinite(f).all():
        raise ValueError("predictions must be finite, one for each text, of one text at least")
    if np.isfinite(y).any() and not (np.nanmin(y) >= 0 and np.nanmax(y) <= 1):
        raise ValueError(f"labels must be from 0 to 1, given {np.nanmin(y)} to {np.nanmax(y)}")
    if weight is not None and not 0 <= weight <= 1:
        raise ValueError(f"weight must be from 0 to 1, given {weight!r}")
    of_prompt, cluster = _numbered(list(prompts))
    kinds, stratum = _numbered(names)
    has = np.isfinite(y)
    # The estimate and each prompt's influence are linear in the weight: part 0 is that of the labels, part 1 of it.
    parts = np.stack([np.where(has, y, 0.0), -f])
    filled, corrections = np.zeros_like(parts), np.zeros_like(parts)
    unseen = 0.0
    for number, kind in enumerate(kinds):
        inside = stratum == number
        seen = inside & has
        n, whole = int(seen.sum()), int(inside.sum())
        if n < min(LEAST, whole):
            raise ValueError(f"stratum {kind!r}: {n} of its {whole} texts are labelled, at least {LEAST} are needed")
        means = parts[:, seen].mean(axis=1, keepdims=True)
        filled[:, inside] = means
        scale = math.sqrt(n / (n - 1)) if 1 < n < whole else 1.0
        if n < whole:
            unseen += (whole / len(f)) ** 2 * _unseen(y[seen]) / n
        corrections[:, seen] = (parts[:, seen] - means) * (whole / n) * scale
    filled[1] += f
    total = filled.mean(axis=1)
    each = (filled - total[:, None] + corrections) / len(f)
    sums = np.stack([np.bincount(cluster, part, minlength=len(of_prompt)) for part in each])
    chosen = _best(sums) if weight is None else weight
    influence = sums[0] + chosen * sums[1]
    seen_prompts = len(np.unique(cluster[has]))
    return Powered(
        value=float(total[0] + chosen * total[1]),
        weight=chosen,
        prompts=_objects(of_prompt),
        influence=influence,
        unseen=unseen,
        freedom=float(max(seen_prompts - len(kinds), 0)),
        texts=len(f),
        labelled=int(has.sum()),
    )


def _unseen(labels: np.ndarray) -> float:
    """By how much half a label of each kind, 0 and 1, would raise the variance of labels from 0 to 1."""
    share, padded = labels.mean(), (labels.sum() + 0.5) / (len(labels) + 1)
    return max(0.0, float(padded * (1 - padded) - share * (1 - share)))


def _best(sums: np.ndarray) -> float:
    """The weight of the smallest variance, within [0, 1]; 1 where the prediction makes no difference."""
    bottom = float(sums[1] @ sums[1])
    return 1.0 if bottom <= 1e-30 else float(np.clip(-(sums[0] @ sums[1]) / bottom, 0.0, 1.0)) + 0.0  # no -0.0


def macro_average(estimates: Sequence[Powered]) -> Powered:
    """The unweighted mean of estimates (languages) that share no prompt.

    Raises:
        ValueError: without any.
    """
    if not estimates:
        raise ValueError("a mean of no estimates")
    number = len(estimates)
    errors = np.array([one.error**2 for one in estimates])
    freedoms = np.array([one.freedom for one in estimates])
    # Satterthwaite: estimates with little freedom matter by their share of the variance.
    freedom = float(freedoms.sum())
    if (freedoms > 0).all() and errors.sum() > 0:
        freedom = float(errors.sum() ** 2 / (errors**2 / freedoms).sum())
    return Powered(
        value=float(np.mean([one.value for one in estimates])),
        weight=float(np.mean([one.weight for one in estimates])),
        prompts=_objects([(place, name) for place, one in enumerate(estimates) for name in one.prompts]),
        influence=np.concatenate([one.influence for one in estimates]) / number,
        unseen=sum(one.unseen for one in estimates) / number**2,
        freedom=freedom if (freedoms > 0).all() else 0.0,
        texts=sum(one.texts for one in estimates),
        labelled=sum(one.labelled for one in estimates),
    )


def difference(a: Powered, b: Powered, confidence: float = CONFIDENCE) -> PoweredDifference:
    """b - a: prompts that both have are paired, so that what is particular to a prompt cancels."""
    moved: dict[object, float] = {}
    for one, sign in ((a, -1.0), (b, 1.0)):
        for name, value in zip(one.prompts.tolist(), one.influence, strict=True):
            moved[name] = moved.get(name, 0.0) + sign * float(value)
    value = b.value - a.value
    error = 0.0 if a is b else _error(np.array(list(moved.values())), a.unseen + b.unseen)
    low, high = _bounds(value, error, min(a.freedom, b.freedom), confidence)
    return PoweredDifference(value, low, high, len(moved))


def _error(influence: np.ndarray, unseen: float) -> float:
    number = len(influence)
    return math.sqrt(float(influence @ influence) * number / (number - 1) + unseen) if number > 1 else math.nan


def _bounds(value: float, error: float, freedom: float, confidence: float) -> tuple[float, float]:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, such as 0.95, given {confidence!r}")
    if freedom <= 0 or math.isnan(error):
        return math.nan, math.nan
    reach = float(stats.t.isf((1 - confidence) / 2, freedom)) * error
    return value - reach, value + reach


def _numbered(names: list) -> tuple[list, np.ndarray]:
    """The distinct names in order of appearance, and each one's number."""
    places = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return list(places), np.array([places[name] for name in names], dtype=int)


def _objects(names: Sequence[object]) -> np.ndarray:
    found = np.empty(len(names), dtype=object)
    found[:] = names
    return found
