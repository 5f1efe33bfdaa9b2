"""From margins to probabilities, on clusters that a scorer was not fitted on; and how well margins rank texts."""

from __future__ import annotations

import numpy as np

from ...core.errors import DetoxbenchError
from ...core.validity import figures
from .examples import Examples

LEAST = 20
"""Texts of the calibration part that a language needs for an offset of its own."""


def by_language(examples: Examples, values: np.ndarray, part: str) -> dict[str, float]:
    """AUC in each language on a part; a language with several label sets has the mean over them."""
    found: dict[str, list[float]] = {}
    for lang in sorted(set(examples.langs.tolist())):
        for source in sorted(set(examples.sources[examples.langs == lang].tolist())):
            chosen = (examples.langs == lang) & (examples.sources == source) & (examples.parts == part)
            chosen &= np.isfinite(values)
            auc = (
                figures.auc(values[chosen], examples.positive[chosen], np.ones((1, int(chosen.sum()))))[0]
                if chosen.any()
                else np.nan
            )
            if np.isfinite(auc):
                found.setdefault(lang, []).append(float(auc))
    return {lang: float(np.mean(aucs)) for lang, aucs in found.items()}


def check(examples: Examples, values: np.ndarray | None = None) -> None:
    """Whether there is enough to calibrate with, which is asked before anything is fitted.

    Args:
        examples: in all parts.
        values: margins [texts]; texts with NaN do not count.

    Raises:
        DetoxbenchError: for a language with too few texts in the calibration part, or texts of one kind alone.
    """
    part = examples.parts == "calibration"
    if values is not None:
        part = part & np.isfinite(values)
    for lang in sorted(set(examples.langs.tolist())):
        here = part & (examples.langs == lang)
        if here.sum() < LEAST or examples.positive[here].all() or not examples.positive[here].any():
            raise DetoxbenchError(
                f"'{lang}' has {here.sum()} texts in the calibration part, {int(examples.positive[here].sum())} of "
                f"them toxic: at least {LEAST}, of both kinds, are needed; leave the language out with --lang"
            )


def calibrate(examples: Examples, values: np.ndarray) -> dict[str, tuple[float, float]]:
    """Slope and offset a language (Platt 1999) on the calibration part: one slope for all, an offset for each.

    Where a language has several label sets, each counts the same, and so that shares of toxic texts that a set's
    making decided do not become the scorer's prior, toxic texts weigh as much of them as of the sets with ratings.

    Raises:
        DetoxbenchError: as ``check`` does.
    """
    from scipy.optimize import minimize

    check(examples, values)
    part = (examples.parts == "calibration") & np.isfinite(values)
    langs = sorted(set(examples.langs.tolist()))
    weights = np.zeros(len(values))
    shares = {}
    for lang in langs:
        shares[lang] = examples.positive[part & (examples.langs == lang)].mean()
    multiple = {lang for lang in langs if len(set(examples.sources[examples.langs == lang].tolist())) > 1}
    single = [shares[lang] for lang in langs if lang not in multiple]
    for lang in langs:
        here = part & (examples.langs == lang)
        for source in sorted(set(examples.sources[here].tolist())):
            one = here & (examples.sources == source)
            if lang in multiple and single:
                for side, share in ((True, np.mean(single)), (False, 1 - np.mean(single))):
                    chosen = one & (examples.positive == side)
                    weights[chosen] = share / max(1, chosen.sum())
            else:
                weights[one] = 1 / one.sum()
        weights[here] /= weights[here].sum()
    number = np.array([langs.index(lang) for lang in examples.langs.tolist()])
    margin, truth = np.where(part, values, 0.0), examples.positive.astype(float)

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        z = margin * point[0] + point[1:][number]
        error = weights * (1 / (1 + np.exp(-np.clip(z, -30, 30))) - truth)
        value = (weights * (np.logaddexp(0, z) - truth * z)).sum()
        return value, np.concatenate([[error @ margin], np.bincount(number, error, len(langs))])

    found = minimize(loss, np.concatenate([[1.0], np.zeros(len(langs))]), jac=True, method="L-BFGS-B").x
    return {lang: (float(found[0]), float(found[1 + place])) for place, lang in enumerate(langs)}
