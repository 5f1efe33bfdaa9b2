"""The resampling core: counts of prompts, replicates of ratios, the bias correction and acceleration of BCa.

A *stratum* is an array ``[metrics, 2, prompts]`` whose rows are ``numerator, denominator``. Several strata (languages)
are resampled each by itself and averaged with equal weight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.special import stdtrit

CHUNK = 2**18
"""Prompts drawn at once: 2 MiB of indices and 2 MiB of counts, which stay in the processor's cache."""

ROUNDING = 1e-12
"""Relative size below which a difference of two sums is taken for rounding, far above 2^-53 and below any real one."""

FEWEST = 5
"""Prompts below which no interval is given: the sample's own range misses the mean too often."""

_normal = NormalDist()


@dataclass(frozen=True)
class Interval:
    """An estimate and its two-sided interval, in the unit of the metric.

    Attributes:
        value: The estimate; NaN where no prompt was measured.
        low: Lower bound, at most ``value``; NaN where there is no interval.
        high: Upper bound, at least ``value``; NaN with ``low``.
        method: ``bca`` (bootstrap); ``percentile`` where BCa is undefined; ``share`` (a share's effective sample size);
            ``sign-flip`` for differences; ``order-statistics`` of a median; ``counted`` of what is exact;
            ``degenerate`` where the measurements say nothing of the uncertainty, for
            the ``reason``; ``undefined`` where there is no value.
        prompts: Prompts with a measurement (denominator above 0), over all strata.
        resamples: Resamples that the bounds rest on, less those without any measured prompt; 0 where none are drawn.
        confidence: Nominal coverage, such as 0.95.
        reason: Why the interval is degenerate or undefined, in words; empty otherwise.
    """

    value: float
    low: float
    high: float
    method: str
    prompts: int
    resamples: int
    confidence: float
    reason: str = ""


@dataclass(frozen=True)
class Resampled:
    """One metric's estimate, ``replicates`` [resamples that have one] and what BCa needs to know about them."""

    value: float
    replicates: np.ndarray
    acceleration: float
    prompts: int
    tolerance: float
    """Replicates closer than this to the value equal it."""
    constant: bool
    """No prompt has any influence on the estimate."""
    expansion: float = 1.0
    """Unbiased standard error over the resamples', which is too small by ``sqrt((n - 1) / n)``."""
    freedom: float = math.inf
    """Degrees of freedom of the standard error."""

    @property
    def bias_correction(self) -> float:
        """z0: how far the value is from the median replicate, in normal quantiles; ties count half.

        Infinite where every replicate is on one side (Efron and Tibshirani 1993, eq. 14.14).
        """
        offset = self.replicates - self.value
        below, tied = np.count_nonzero(offset < -self.tolerance), np.count_nonzero(np.abs(offset) <= self.tolerance)
        share = (below + tied / 2) / len(offset)
        return _normal.inv_cdf(share) if 0 < share < 1 else math.copysign(math.inf, share - 0.5)

    def tails(self, confidence: float) -> tuple[float, float]:
        """The nominal tails, expanded for few prompts: Student's quantile, times ``expansion``, as a normal one's tail.

        Hesterberg (2015), What Teachers Should Know About the Bootstrap, The American Statistician 69, section 5.3.
        """
        tail = (1 - confidence) / 2
        if math.isfinite(self.freedom) and self.freedom > 0:
            reach = self.expansion * float(stdtrit(self.freedom, (1 + confidence) / 2))
            tail = max(_normal.cdf(-reach), 1e-15)  # beyond, no resample is, and 1 - tail is 1
        return tail, 1 - tail

    def interval(self, confidence: float) -> Interval:
        """BCa (Efron 1987), else percentile, with linear interpolation between replicates, of expanded tails."""
        used, reason = len(self.replicates), ""
        if math.isnan(self.value) or not used:
            return Interval(self.value, math.nan, math.nan, "undefined", self.prompts, used, confidence, "not measured")
        if self.prompts < FEWEST:
            reason = f"{self.prompts} prompt{'s' * (self.prompts != 1)}, an interval needs {FEWEST}"
        elif self.constant:
            reason = "all prompts have the same value"
        elif not self.freedom > 0:
            reason = "a group has a single prompt, whose spread is unknown"
        if reason:
            return Interval(self.value, math.nan, math.nan, "degenerate", self.prompts, used, confidence, reason)
        tails, method = self.tails(confidence), "percentile"
        corrected = bca_tails(self.bias_correction, self.acceleration, tails)
        if corrected is not None:
            tails, method = corrected, "bca"
        low, high = np.quantile(self.replicates, tails)
        # Of few and very skewed measurements BCa's bounds can both lie on one side of the value.
        low, high = min(float(low), self.value), max(float(high), self.value)
        return Interval(self.value, low, high, method, self.prompts, used, confidence)


def bca_tails(bias: float, acceleration: float, tails: tuple[float, float]) -> tuple[float, float] | None:
    """The shares of the replicates that BCa cuts off in place of ``tails``; None where it is undefined.

    Efron and Tibshirani (1993), eq. 14.10: ``Phi(z0 + (z0 + z) / (1 - a (z0 + z)))``, ``z`` the tail's normal quantile.
    It is undefined where the bias correction is infinite, the acceleration not a number, or ``1 - a (z0 + z)`` not
    positive: the map from nominal to corrected tail turns back on itself there.
    """
    corrected = []
    for tail in tails:
        shifted = bias + _normal.inv_cdf(tail)
        stretch = 1 - acceleration * shifted
        if not (math.isfinite(shifted) and stretch > 0):
            return None
        corrected.append(_normal.cdf(bias + shifted / stretch))
    return corrected[0], corrected[1]


def sort_key(block: np.ndarray) -> tuple[int, list[float]]:
    """Of a stratum's block [rows, prompts] of one metric: by its number of prompts, then by its numbers."""
    return block.shape[1], block.ravel().tolist()


def canonical(strata: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The same strata in an order that does not depend on the one given: of prompts, and of strata.

    Each metric is ordered by itself. The counts still serve all metrics, and what comes out for one metric does not
    depend on which others are computed beside it. Strata are ordered by size first, so the sizes agree over metrics.
    """
    ordered = []
    if not strata[0].shape[0]:
        return list(strata)
    for metric in range(strata[0].shape[0]):
        # Adding 0.0 turns -0.0 into 0.0.
        blocks = [stratum[metric][:, np.lexsort(stratum[metric][::-1])] + 0.0 for stratum in strata]
        ordered.append(sorted(blocks, key=sort_key) if len(blocks) > 1 else blocks)
    return [np.stack(blocks) for blocks in zip(*ordered, strict=True)]


def resampled_sums(columns: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Sums over prompts drawn with replacement: ``columns`` [prompts, width] -> [resamples, width].

    A resample is a row of counts, and all sums of a chunk of resamples are one matrix product. Drawing indices and
    counting them is several times faster than ``Generator.multinomial`` and far faster than gathering the values.
    """
    prompts = len(columns)
    sums = np.empty((resamples, columns.shape[1]))
    rows = max(1, min(resamples, CHUNK // prompts))
    counts = np.empty((rows, prompts))
    for start in range(0, resamples, rows):
        drawn = rng.integers(0, prompts, size=(min(rows, resamples - start), prompts))
        for row, indices in enumerate(drawn):
            counts[row] = np.bincount(indices, minlength=prompts)
        sums[start : start + len(drawn)] = counts[: len(drawn)] @ columns
    return sums


def estimate(sums: np.ndarray) -> np.ndarray:
    """The ratio, or the second ratio minus the first: sums [..., rows] -> [...]; NaN where a denominator is 0."""
    ratios = np.full((*sums.shape[:-1], sums.shape[-1] // 2), np.nan)
    np.divide(sums[..., 0::2], sums[..., 1::2], out=ratios, where=sums[..., 1::2] > 0)
    return ratios[..., 0] if sums.shape[-1] == 2 else ratios[..., 1] - ratios[..., 0]


def influences(stratum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much the estimate changes when a prompt is left out, [metrics, prompts], and how much of it is rounding.

    With ``N`` and ``D`` the sums, ``(N - n_i) / (D - d_i) - N / D`` is computed as ``(d_i N / D - n_i) / (D - d_i)``,
    which subtracts no two large sums. The only measured prompt has no influence: nothing can be estimated without it.
    """
    numerators, denominators = stratum[:, 0], stratum[:, 1]
    total = denominators.sum(axis=-1, keepdims=True)
    ratio = numerators.sum(axis=-1, keepdims=True) / np.where(total > 0, total, 1)
    rest = total - denominators
    change = np.zeros_like(numerators)
    np.divide(denominators * ratio - numerators, rest, out=change, where=rest > ROUNDING * total)
    largest = np.abs(numerators).max(axis=-1, initial=0.0)
    return change, ROUNDING * largest / np.where(total > 0, total, 1)[:, 0]


@dataclass(frozen=True)
class Jackknife:
    """What leaving prompts out shows, [metrics] each.

    Attributes:
        acceleration: of BCa.
        constant: no prompt has any influence.
        expansion, freedom: see ``Resampled``; the freedom is 0 where a stratum has a single measured prompt.
    """

    acceleration: np.ndarray
    constant: np.ndarray
    expansion: np.ndarray
    freedom: np.ndarray


def jackknife(strata: Sequence[np.ndarray]) -> Jackknife:
    """Acceleration and the size of the standard error, from the jackknife of every stratum.

    ``a = 1/6 * sum_g n_g^-3 sum_i U_gi^3 / (sum_g n_g^-2 sum_i U_gi^2)^(3/2)`` with
    ``U_gi = (n_g - 1) (mean_i(estimate without i) - estimate without i)`` (Davison and Hinkley 1997, section 5.3.2, for
    several samples; Efron and Tibshirani 1993, eq. 15.36). With one stratum it is the usual jackknife form (eq. 14.15).
    The equal weights of the strata cancel. Degrees of freedom are Satterthwaite's (1946).
    """
    metrics = strata[0].shape[0]
    squares, cubes, unbiased, spread = (np.zeros(metrics) for _ in range(4))
    constant, single = np.ones(metrics, dtype=bool), np.zeros(metrics, dtype=bool)
    for stratum in strata:
        prompts = max(1, stratum.shape[2])
        measured = np.count_nonzero(stratum[:, 1] > 0, axis=-1)
        change, rounding = influences(stratum)
        u = (prompts - 1) / prompts * (change.sum(axis=-1, keepdims=True) / prompts - change)
        own = (u**2).sum(axis=-1)
        squares += own
        cubes += (u**3).sum(axis=-1)
        constant &= np.abs(change).max(axis=-1, initial=0.0) <= rounding
        single |= measured == 1
        variance = own * measured / np.maximum(measured - 1, 1)
        unbiased += variance
        spread += variance**2 / np.maximum(measured - 1, 1)
    acceleration, expansion, freedom = np.full(metrics, np.nan), np.ones(metrics), np.full(metrics, np.inf)
    # Powers of very small influences underflow to 0: no acceleration then.
    np.divide(cubes, 6 * squares**1.5, out=acceleration, where=(squares**1.5 > 0) & ~constant)
    np.divide(unbiased, squares, out=expansion, where=(squares > 0) & ~constant)
    np.divide(unbiased**2, spread, out=freedom, where=(spread > 0) & ~constant)
    return Jackknife(acceleration, constant, np.sqrt(expansion), np.where(single & ~constant, 0.0, freedom))


def bootstrap(strata: Sequence[np.ndarray], *, resamples: int, seed: int) -> list[Resampled]:
    """Resample each stratum by itself and average the strata's estimates: one ``Resampled`` a metric.

    Args:
        strata: Arrays [metrics, 2, prompts of the stratum] in the order of ``canonical``.
        resamples: Resamples to draw.
        seed: Of the generator. The same input gives the same replicates.
    """
    rng = np.random.default_rng(seed)
    metrics, rows, _ = strata[0].shape
    value, magnitude, replicates = np.zeros(metrics), np.zeros(metrics), np.zeros((resamples, metrics))
    prompts = np.zeros(metrics, dtype=int)
    for stratum in strata:
        sums = stratum.sum(axis=-1)
        value += estimate(sums)
        magnitude += np.abs(estimate(sums))
        prompts += np.count_nonzero(stratum[:, 1] > 0, axis=-1)
        if stratum.shape[2]:
            columns = np.ascontiguousarray(stratum.reshape(metrics * rows, stratum.shape[2]).T)
            replicates += estimate(resampled_sums(columns, resamples, rng).reshape(resamples, metrics, rows))
        else:
            replicates += np.nan
    value, magnitude, replicates = (total / len(strata) for total in (value, magnitude, replicates))
    shown = jackknife(strata)
    return [
        Resampled(
            value=float(value[m]),
            replicates=replicates[np.isfinite(replicates[:, m]), m],
            acceleration=float(shown.acceleration[m]),
            prompts=int(prompts[m]),
            tolerance=float(ROUNDING * magnitude[m]),
            constant=bool(shown.constant[m]),
            expansion=float(shown.expansion[m]),
            freedom=float(shown.freedom[m]),
        )
        for m in range(metrics)
    ]
