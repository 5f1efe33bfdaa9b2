"""What skewness does to a paired test: Johnson's modified t, which keeps the sign-flip test from being too sure.

The sign-flip test is exact where exchanging the methods leaves the law alone. A method may leave the mean alone and not
the law: many prompts become a little better and a few much worse. Ten prompts without one of the few then look like an
improvement on every prompt, and a test that knows only mean and spread believes them. Johnson (1978), Modified
t Tests and Confidence Intervals for Asymmetrical Populations, JASA 73, corrects the statistic by the third moment:

    t_J = t + g / 6 * (1 + 2 t^2),    g = sum e^3 / (sum e^2)^(3/2)

with ``e`` the scores around their own mean, so that ``g`` is the skewness over ``sqrt(n)``. The correction is of the
middle of the distribution: beyond ``FAR`` it stays what it is there, and ``t_J`` rises with ``t``. A difference counts
as far out in the tail as the less sure of the two tests says (``differences``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

FAR = 3.0
"""Standard errors beyond which the correction grows no more."""


@dataclass(frozen=True)
class Moments:
    """Of the scores of some metrics, [metrics] each.

    Args:
        error: standard error of the difference; NaN where no two prompts differ.
        skewness: ``g``.
        freedom: degrees of freedom of ``error``.
    """

    error: np.ndarray
    skewness: np.ndarray
    freedom: np.ndarray

    @classmethod
    def of(cls, centred: np.ndarray, error: np.ndarray, freedom: np.ndarray) -> Moments:
        """From scores [metrics, prompts] around their own mean."""
        squares = (centred**2).sum(axis=-1)
        known = np.isfinite(error) & (squares > 0) & (freedom > 0)
        power = np.where(known, squares, 1.0) ** 1.5
        return cls(
            np.where(known, error, np.nan),
            np.where(known, (centred**3).sum(axis=-1) / power, 0.0),
            np.where(known, freedom, 1.0),
        )

    def tails(self, difference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the differences [metrics]: one-sided p-values of being no more, and no less, than 0; 0 where there is no
        spread, which leaves it to the other test."""
        known = np.isfinite(self.error)
        t = np.divide(difference, self.error, out=np.zeros_like(self.error), where=known)
        above, below = (stats.t.sf(corrected(s * t, s * self.skewness), self.freedom) for s in (1, -1))
        return np.where(known, above, 0.0), np.where(known, below, 0.0)

    def bounds(self, difference: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
        """The shifts [metrics] at which either one-sided test has ``level`` / 2; the difference where there is no
        spread."""
        critical = stats.t.isf(level / 2, self.freedom)
        error = np.where(np.isfinite(self.error), self.error, 0.0)
        below, above = reach(critical, self.skewness), reach(critical, -self.skewness)
        return difference - below * error, difference + above * error


def _end(skewness: np.ndarray) -> np.ndarray:
    """The correction at ``FAR`` and beyond."""
    return skewness / 6 * (1 + 2 * FAR**2)


def corrected(t: np.ndarray, skewness: np.ndarray) -> np.ndarray:
    """``t_J`` for an upper tail; it never falls as ``t`` rises from 0."""
    near = t + skewness / 6 * (1 + 2 * np.minimum(t**2, FAR**2))
    return np.where(t < FAR, np.minimum(near, FAR + _end(skewness)), near)


def reach(critical: np.ndarray, skewness: np.ndarray) -> np.ndarray:
    """The largest ``t`` whose ``t_J`` is at most a critical value above 0."""
    inner = critical - skewness / 6
    root = np.sqrt(np.maximum(1 + 4 / 3 * skewness * inner, 0.0))
    near = 2 * inner / (1 + root)
    far = critical - _end(skewness)
    return np.where(far >= FAR, far, np.minimum(near, FAR))
