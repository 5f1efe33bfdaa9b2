"""The sign-flip test of paired measurements, exact in law, and the interval that is its inversion.

Two methods answer the same prompts. If the second changes nothing, its answer to a prompt could as well have been the
first one's, so that exchanging the two, prompt by prompt, changes nothing but signs. With prompt ``i`` of method a
contributing ``(n_a, d_a)`` to its ratio and of b ``(n_b, d_b)``, and b moved back by a shift ``delta``, the score is

    z_i(delta) = n_b - delta d_b - n_a - R (d_b - d_a),    R = sum(n_a + n_b - delta d_b) / sum(d_a + d_b)

(``R``, the ratio of both together, does not change when prompts are exchanged). The test compares ``sum z_i`` with its
``2^m`` values under flipped signs. It is exact for any distribution, however skewed or heavy-tailed, and any number of
prompts, as long as the exchange leaves the law alone (Fisher 1935; Hoeffding 1952); a studentized version is the same
test, as ``sum z_i^2`` does not change. ``z_i`` is linear in ``delta`` and ``sum z_i(delta) = 0`` at the difference of
the two ratios, so that the shifts which the test does not reject are an interval around it, which holds 0 exactly
if the test of no difference is not significant.

Up to ``ENUMERATED`` prompts all sign vectors are counted: the interval's bounds are the ordered subset means of
Hartigan (1969). Beyond, the tail is the saddlepoint's (Lugannani and Rice 1980; Robinson 1982 for permutations), with
``K(t) = sum log cosh(t z_i)``: within a per cent of the exact one from there on, in the far tail too, where resampling
has nothing to count. Nothing is drawn at random.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import ndtr, ndtri

ENUMERATED = 12
"""Prompts up to which all sign vectors are counted: 4,096 of them."""

ALIKE = 1e-9
"""Relative difference below which two scores have one size."""

STEPS = 60
"""Of Newton's method, at most, and of the search for a bound; each takes about ten."""


@dataclass(frozen=True)
class Scores:
    """``z(delta) = alpha - delta * beta``, [metrics, prompts]; both 0 where a prompt was not measured by both.

    ``beta`` is above 0 for all measured prompts, so every score falls as ``delta`` rises and the test is monotone.
    """

    alpha: np.ndarray
    beta: np.ndarray

    def at(self, delta: np.ndarray) -> np.ndarray:
        """Scores at the shifts [metrics]."""
        return self.alpha - delta[:, None] * self.beta


def scores(stratum: np.ndarray) -> Scores:
    """The scores of a stratum [metrics, 4, prompts]: numerators and denominators of a, then of b, 0 if not measured.

    Differences of rounding's size are exactly 0, so that prompts on which nothing changed are known as such.
    """
    n_a, d_a, n_b, d_b = (stratum[:, row] for row in range(4))
    total_a, total_b = (side.sum(axis=-1, keepdims=True) for side in (d_a, d_b))
    both = np.where(total_a + total_b > 0, total_a + total_b, 1.0)
    pooled = (n_a + n_b).sum(axis=-1, keepdims=True) / both
    alpha = n_b - n_a - pooled * (d_b - d_a)
    size = np.abs(n_a) + np.abs(n_b) + np.abs(pooled) * (d_a + d_b)
    return Scores(np.where(np.abs(alpha) <= 1e-12 * size, 0.0, alpha), (total_a * d_b + total_b * d_a) / both)


def combined(groups: list[Scores], estimates: np.ndarray) -> Scores:
    """Scores of the unweighted mean over groups (languages), each with its own difference.

    Each group's scores are centred on its own difference ``estimates`` [groups, metrics] and moved together, since the
    mean's null hypothesis lets languages differ. The centred part is stretched by ``sqrt(n / (n - 1))``, without which
    the variance of n prompts around their own mean would be taken for that around the true one.
    """
    mean = estimates.mean(axis=0)
    alphas, betas = [], []
    for group, own in zip(groups, estimates, strict=True):
        total = group.beta.sum(axis=-1, keepdims=True)
        weight = 1 / (len(groups) * np.where(total > 0, total, 1.0))
        n = np.count_nonzero(group.beta > 0, axis=-1)
        stretch = np.where(n > 1, np.sqrt(n / np.maximum(n - 1, 1)), 1.0)[:, None]
        centred = group.at(own) * stretch + mean[:, None] * group.beta
        # A single prompt has no spread around its own mean: it stands by itself.
        alphas.append(np.where(n[:, None] > 1, centred, group.alpha) * weight)
        betas.append(group.beta * weight)
    return Scores(np.concatenate(alphas, axis=-1), np.concatenate(betas, axis=-1))


def tail(z: np.ndarray) -> np.ndarray:
    """P(sum of z with random signs >= sum of z): [rows, prompts] -> [rows]; a half or more where the sum is below 0."""
    total = z.sum(axis=-1)
    found = np.empty(len(z))
    sizes = np.abs(z)
    counts = np.count_nonzero(sizes, axis=-1)
    largest = sizes.max(axis=-1, initial=0.0)
    smallest = np.where(sizes > 0, sizes, np.inf).min(axis=-1, initial=np.inf)
    lattice = (counts > 0) & (smallest >= largest * (1 - ALIKE))
    small = (counts <= ENUMERATED) & ~lattice
    for row in np.flatnonzero(small):
        found[row] = _counted(z[row][z[row] != 0])
    if lattice.any():
        # All changes of one size (a share of prompts): the sign test, which is McNemar's exact one.
        positive = np.count_nonzero(z[lattice] > 0, axis=-1)
        found[lattice] = stats.binom.sf(positive - 1, counts[lattice], 0.5)
    rest = ~(small | lattice)
    if rest.any():
        upper = _saddlepoint(sizes[rest], np.abs(total[rest]), counts[rest])
        found[rest] = np.where(total[rest] >= 0, upper, 1 - upper)
    return found


def two_sided(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """From the tails of z and of -z."""
    return np.minimum(1.0, 2 * np.minimum(above, below))


def bounds(given: Scores, estimates: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """The shifts [metrics] at which either one-sided test is significant at ``level`` / 2 and no more.

    Infinite where no shift ever is: ``m`` prompts have no smaller p-value than ``2^-m``.
    """
    low, high = np.full(len(estimates), -np.inf), np.full(len(estimates), np.inf)
    counts = np.count_nonzero(given.beta > 0, axis=-1)
    for row in np.flatnonzero((counts <= ENUMERATED) & (counts > 0)):
        low[row], high[row] = _subset_bounds(given.alpha[row], given.beta[row], level)
    rest = np.flatnonzero((counts > ENUMERATED) & np.isfinite(estimates))
    if len(rest):
        part = Scores(given.alpha[rest], given.beta[rest])
        mirrored = Scores(-part.alpha, part.beta)
        low[rest] = _searched(part, estimates[rest], level)
        high[rest] = -_searched(mirrored, -estimates[rest], level)
    return low, high


def _signs(prompts: int) -> np.ndarray:
    """[2^prompts, prompts] of 0 and 1."""
    return ((np.arange(2**prompts)[:, None] >> np.arange(prompts)) & 1).astype(float)


def _counted(z: np.ndarray) -> float:
    """Exact: the flipped prompts' sum is at most 0 exactly where the sum with flipped signs is at least the sum."""
    flipped = _signs(len(z)) @ z
    return float(np.mean(flipped <= 1e-12 * np.abs(z).sum()))


def _subset_bounds(alpha: np.ndarray, beta: np.ndarray, level: float) -> tuple[float, float]:
    """Ordered subset means: the test at a shift counts the subsets whose mean is no larger, and the empty one."""
    used = beta > 0
    subsets = _signs(int(used.sum()))[1:]
    means = np.sort((subsets @ alpha[used]) / (subsets @ beta[used]))
    cut = math.ceil(level / 2 * (len(means) + 1)) - 1
    return (float(means[cut - 1]), float(means[-cut])) if cut >= 1 else (-math.inf, math.inf)


def _saddlepoint(sizes: np.ndarray, total: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Upper tail of the sum of ``sizes`` [rows, prompts] with random signs at ``total`` >= 0 [rows]."""
    scale = np.maximum(sizes.max(axis=-1, initial=0.0), np.finfo(float).tiny)
    x, at = sizes / scale[:, None], total / scale
    reach = x.sum(axis=-1)
    least = 0.5 ** counts.astype(float)
    # K' is concave above 0 and at most t sum(x^2): Newton's steps from there rise to the root and never pass it.
    t = at / np.maximum((x**2).sum(axis=-1), np.finfo(float).tiny)
    inner = at < reach * (1 - ALIKE)
    curvature = np.ones_like(t)
    for _ in range(STEPS):
        tanh = np.tanh(t[:, None] * x)
        curvature = np.maximum((x**2 * (1 - tanh**2)).sum(axis=-1), np.finfo(float).tiny)
        step = np.where(inner, (at - (x * tanh).sum(axis=-1)) / curvature, 0.0)
        t = t + step
        if (np.abs(step) <= 1e-9 * (1 + t)).all():
            break
    cumulant = (t[:, None] * x + np.log1p(np.exp(-2 * t[:, None] * x)) - math.log(2)).sum(axis=-1)
    w = np.sqrt(np.maximum(2 * (t * at - cumulant), 0.0))
    u = t * np.sqrt(curvature)
    near = w < 1e-3  # the two terms cancel in the middle, where the normal tail is exact
    density = np.exp(-(w**2) / 2) / math.sqrt(2 * math.pi)
    correction = density * (1 / np.where(near, 1.0, u) - 1 / np.where(near, 1.0, w))
    found = ndtr(-w) + np.where(near, 0.0, correction)
    return np.where(inner, np.clip(found, least, 0.5), least)


def _searched(given: Scores, estimates: np.ndarray, level: float) -> np.ndarray:
    """Lower bounds: the shift below the estimate at which the one-sided tail is ``level`` / 2.

    In normal quantiles the tail is nearly linear in the shift, so the secant's step is nearly right; it is kept within
    a bracket that the test's monotony allows to narrow.
    """
    wanted = -ndtri(level / 2)
    ratios = np.where(given.beta > 0, given.alpha / np.where(given.beta > 0, given.beta, 1.0), np.inf)
    outer, inner = np.minimum(ratios.min(axis=-1), estimates), estimates.copy()
    total = given.beta.sum(axis=-1)
    error = np.sqrt((given.at(estimates) ** 2).sum(axis=-1)) / total
    shift = np.maximum(estimates - wanted * error, outer)
    for _ in range(STEPS):
        quantile = -ndtri(tail(given.at(shift)))
        outer, inner = np.where(quantile >= wanted, shift, outer), np.where(quantile < wanted, shift, inner)
        distance = estimates - shift
        step = distance * np.where(quantile > 1e-3, wanted / np.maximum(quantile, 1e-3), 2.0)
        proposal = estimates - step
        inside = (proposal > outer) & (proposal < inner)
        following = np.where(inside, proposal, (outer + inner) / 2)
        done = (np.abs(following - shift) <= 1e-9 * (np.abs(shift) + error)) | (inner - outer <= 1e-9 * error)
        shift = following
        if done.all():
            break
    return shift
