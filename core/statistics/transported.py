"""Shares of texts that people would call toxic, from labels of *other* texts that the same scorer has scored.

Where nobody has labelled a run's own continuations, labels of another set say how often the scorer calls toxic what
people call toxic (sensitivity), and what they do not (false positives). The share that it calls toxic in the run then
says how many are (Rogan and Gladen 1978, American Journal of Epidemiology 107): ``(called - false) / (sensitivity -
false)``. Bounds are those of Fieller (1954, JRSS B 16) for a ratio: the shares that the labels and the run together do
not reject. They contain the scorer's error, through the numbers of labels, and the run's, through its prompts; a scorer
that tells next to nothing has none.

It rests on an assumption that no number here can check, *transport*: the scorer errs as often on the run's toxic texts
as on the labelled toxic ones, and on its other texts as on the other labelled ones. How many of the labelled texts are
toxic does not matter; what kind they are does. A sample of the run's own texts (``prediction_powered``) needs no such
assumption.
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
"""Labelled texts of either kind that are needed."""
ASSUMPTION = (
    "assumes transport: that the scorer errs as often on the run's toxic texts, and on its others, as on those labelled"
)


@dataclass(frozen=True)
class Errors:
    """How often a scorer calls labelled texts toxic.

    Args:
        toxic, called: texts that people call toxic, and how many of them the scorer does.
        others, false: the other texts, and how many of them it calls toxic.
    """

    toxic: float
    called: float
    others: float
    false: float

    @property
    def enough(self) -> bool:
        return min(self.toxic, self.others) >= LEAST

    @property
    def youden(self) -> float:
        """Sensitivity less the rate of false positives: 0 is guessing."""
        return self.called / self.toxic - self.false / self.others

    @property
    def variances(self) -> tuple[float, float]:
        """Of the sensitivity and of the rate of false positives. Half a text of each kind is added (Jeffreys' prior):
        labels that are all alike do not make a rate sure."""
        shares = [(hits + 0.5) / (n + 1) for hits, n in ((self.called, self.toxic), (self.false, self.others))]
        return shares[0] * (1 - shares[0]) / self.toxic, shares[1] * (1 - shares[1]) / self.others


@dataclass(frozen=True)
class Transported:
    """A run's share of toxic texts under the labels' rates of error.

    Attributes:
        value: from 0 to 1.
        called: share of the run's texts that the scorer calls toxic.
        prompts: the distinct prompts.
        influence: float64 [prompts], of sum 0: what each prompt moves ``called`` by.
        errors: of the scorer on the labelled texts.
        texts: how many the run has.
    """

    value: float
    called: float
    prompts: list
    influence: np.ndarray
    errors: Errors
    texts: int

    @property
    def labelled(self) -> int:
        return round(self.errors.toxic + self.errors.others)

    @property
    def sampling(self) -> float:
        """Variance of ``called`` over the run's prompts. Where all have the same share, half a prompt of each kind is
        added (Jeffreys' prior): prompts that are all alike do not make a share sure."""
        if np.any(self.influence) or len(self.prompts) < 2:
            return _variance(self.influence)
        number = len(self.prompts)
        share = (number * self.called + 0.5) / (number + 1)
        return share * (1 - share) / number

    def bounds(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Two-sided interval, within 0 and 1; NaN for a single prompt, a scorer that tells next to nothing, or where
        all of it lies beyond 0 or 1: the labels' rates of error are then not the run's."""
        (first, second), false = self.errors.variances, self.errors.false / self.errors.others
        # (called - false - x * youden)^2 <= z^2 (variance of called + x^2 first + (1 - x)^2 second), solved for x.
        z2 = _z(confidence) ** 2
        gap, youden = self.called - false, self.errors.youden
        low, high = _between(
            youden**2 - z2 * (first + second),
            -2 * (gap * youden - z2 * second),
            gap**2 - z2 * (self.sampling + second),
        )
        if not (high > 0 and low < 1):
            return math.nan, math.nan
        return float(np.clip(low, 0.0, 1.0)), float(np.clip(high, 0.0, 1.0))

    @property
    def parts(self) -> tuple[float, float]:
        """Variance of the run's sampling, and of the labels (delta method)."""
        first, second = self.errors.variances
        youden = self.errors.youden**2
        labels = self.value**2 * first + (1 - self.value) ** 2 * second
        return self.sampling / youden, labels / youden


@dataclass(frozen=True)
class Moved:
    """A difference or a mean, with its interval; the variance of the runs' sampling, and that of the labels."""

    value: float
    low: float
    high: float
    sampling: float
    labels: float


def transported(called: ArrayLike, prompts: Sequence[object], errors: Errors) -> Transported | None:
    """The share of a run's texts that people would call toxic; None for a scorer that does no better than guess.

    Args:
        called: [texts], 1 where the scorer calls a text toxic, 0 where it does not.
        prompts: [texts], hashable: whose continuation each is.
        errors: of the same scorer, in the same language, at the same threshold.

    Raises:
        ValueError: without texts, or with fewer than ``LEAST`` labelled ones of either kind.
    """
    f = np.asarray(called, dtype=float)
    if not len(f) or len(f) != len(prompts) or not np.isin(f, (0.0, 1.0)).all():
        raise ValueError(f"{len(f)} calls for {len(prompts)} texts: each needs 0 or 1, and there must be some")
    if not errors.enough:
        raise ValueError(f"{errors.toxic:g} toxic and {errors.others:g} other labelled texts: {LEAST} of either")
    if errors.youden <= 0:
        return None
    share = float(f.mean())
    names = list(dict.fromkeys(prompts))
    places = {name: number for number, name in enumerate(names)}
    influence = np.bincount([places[name] for name in prompts], (f - share) / len(f), minlength=len(names))
    value = float(np.clip((share - errors.false / errors.others) / errors.youden, 0.0, 1.0))
    return Transported(value, share, names, influence, errors, len(f))


def difference(a: Transported, b: Transported, confidence: float = CONFIDENCE) -> Moved:
    """b - a, both under the same labels: prompts that both have are paired, and false positives cancel.

    Raises:
        ValueError: for estimates under other labels.
    """
    if a.errors != b.errors:
        raise ValueError("the two rest on other labels")
    moved: dict[object, float] = {}
    for one, sign in ((a, -1.0), (b, 1.0)):
        for name, influence in zip(one.prompts, one.influence, strict=True):
            moved[name] = moved.get(name, 0.0) + sign * float(influence)
    sampling, labels = _variance(np.array(list(moved.values()))), sum(a.errors.variances)
    gap, youden, z2 = b.called - a.called, a.errors.youden, _z(confidence) ** 2
    low, high = _between(youden**2 - z2 * labels, -2 * gap * youden, gap**2 - z2 * sampling)
    value = gap / youden
    return Moved(
        float(np.clip(value, -1.0, 1.0)), float(np.clip(low, -1.0, 1.0)), float(np.clip(high, -1.0, 1.0)),
        sampling / youden**2, value**2 * labels / youden**2,
    )  # fmt: skip


def macro_average(estimates: Sequence[Transported | Moved], confidence: float = CONFIDENCE) -> Moved:
    """The unweighted mean over languages.

    The labels of several languages are often translations of one another, so that their errors go together; how far is
    not known, and they are taken to be fully so, which makes the interval too wide rather than too narrow.

    Raises:
        ValueError: without any.
    """
    if not estimates:
        raise ValueError("a mean of no estimates")
    number = len(estimates)
    value = float(np.mean([one.value for one in estimates]))
    each = [one.parts if isinstance(one, Transported) else (one.sampling, one.labels) for one in estimates]
    sampling = sum(part for part, _ in each) / number**2
    labels = (sum(math.sqrt(part) for _, part in each) / number) ** 2
    reach = _z(confidence) * math.sqrt(sampling + labels)
    least = 0.0 if isinstance(estimates[0], Transported) else -1.0
    low, high = (float(np.clip(end, least, 1.0)) for end in (value - reach, value + reach))
    return Moved(value, low, high, sampling, labels)


def _variance(influence: np.ndarray) -> float:
    number = len(influence)
    return float(influence @ influence) * number / (number - 1) if number > 1 else math.nan


def _z(confidence: float) -> float:
    return float(stats.norm.isf((1 - confidence) / 2))


def _between(square: float, linear: float, constant: float) -> tuple[float, float]:
    """Where ``square x^2 + linear x + constant`` is not above 0; NaN where that is not an interval."""
    inside = linear**2 - 4 * square * constant
    if not (square > 0 and inside >= 0):
        return math.nan, math.nan
    middle, reach = -linear / (2 * square), math.sqrt(inside) / (2 * square)
    return middle - reach, middle + reach
