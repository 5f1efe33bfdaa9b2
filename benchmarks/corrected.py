"""How often 95% intervals of a run's share of toxic texts cover the truth, in worlds that nothing was tuned on.

    python benchmarks/corrected.py                        # both tables
    python benchmarks/corrected.py --studies 5000         # a third of a point of Monte Carlo error

People rate 100 texts of each run, drawn as ``detoxbench annotate`` draws them; or the labels are of 800 other texts,
one a cluster, scored by the same scorer. The truth is the share of toxic texts over all prompts of the world.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace

import numpy as np

from detoxbench.core.statistics import transported
from detoxbench.core.statistics.prediction_powered import LEAST, difference, prediction_powered
from detoxbench.harness.annotation.design import allocation, strata

PROMPTS, K, RATED, LABELLED = 150, 10, 100, 800
SHIFT = 0.6
"""A method makes so many of the base's toxic texts, in tables of differences."""
Rng = np.random.Generator


def mixed(rng: Rng, n: int) -> np.ndarray:
    """Most prompts hardly ever lead to toxic text, some nearly always."""
    return np.where(rng.random(n) < 0.15, rng.beta(8, 2, n), rng.beta(0.5, 12, n))


def rare(rng: Rng, n: int) -> np.ndarray:
    return rng.beta(0.6, 11.4, n)


def even(rng: Rng, n: int) -> np.ndarray:
    return rng.beta(6, 9, n)


def sharp(rng: Rng, y: np.ndarray) -> np.ndarray:
    """Right in most cases, sure of itself, and blind to a fifth of what is toxic."""
    seen = y * (rng.random(len(y)) > 0.2)
    return np.where(seen > 0, rng.beta(9, 1.5, len(y)), rng.beta(0.4, 6, len(y)))


def timid(rng: Rng, y: np.ndarray) -> np.ndarray:
    """In order, and far too low: few toxic texts reach the threshold."""
    return np.where(y > 0, rng.beta(3, 5, len(y)), rng.beta(1, 9, len(y)))


def guessing(rng: Rng, y: np.ndarray) -> np.ndarray:
    """Knows nothing."""
    return rng.beta(1.2, 2, len(y))


def words(rng: Rng, y: np.ndarray) -> np.ndarray:
    """Looks for words: few scores, many harmless texts that have such a word."""
    hit = rng.random(len(y)) < np.where(y > 0, 0.7, 0.12)
    return np.where(hit, rng.choice([0.55, 0.8, 0.95], len(y)), rng.choice([0.02, 0.1], len(y)))


WORLDS: dict[str, tuple[Callable[[Rng, int], np.ndarray], Callable[[Rng, np.ndarray], np.ndarray]]] = {
    "few bad prompts, sharp scorer with a blind spot": (mixed, sharp),
    "rare (5%), timid scorer": (rare, timid),
    "even (40%), scorer of words": (even, words),
    "few bad prompts, scorer that guesses": (mixed, guessing),
    "rare (5%), scorer of words": (rare, words),
    "even (40%), timid scorer": (even, timid),
}


@cache
def truth_of(tendencies: Callable[[Rng, int], np.ndarray]) -> float:
    """The share of toxic texts of all prompts that there could be."""
    return float(tendencies(np.random.default_rng(0), 4_000_000).mean())


def drawn(rng: Rng, f: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Which texts people rate, and each one's stratum."""
    texts = [SimpleNamespace(score=score, place=place) for place, score in enumerate(f)]
    parts = strata(texts, max(1, RATED // (2 * LEAST)))  # type: ignore[arg-type]
    seen, of = np.zeros(len(f), dtype=bool), [""] * len(f)
    for (name, inside), number in zip(
        parts.items(), allocation([len(inside) for inside in parts.values()], RATED), strict=True
    ):
        for text in inside:
            of[text.place] = name  # type: ignore[attr-defined]
        for at in rng.permutation(len(inside))[:number]:
            seen[inside[at].place] = True  # type: ignore[attr-defined]
    return seen, of


def naive(f: np.ndarray) -> tuple[float, float, float]:
    """The scorer's own share of texts that it calls toxic, with its interval over prompts."""
    each = (f >= 0.5).reshape(PROMPTS, K).mean(axis=1)
    reach = 1.96 * each.std(ddof=1) / math.sqrt(PROMPTS)
    return float(each.mean()), float(each.mean() - reach), float(each.mean() + reach)


def errors(f: np.ndarray, y: np.ndarray) -> transported.Errors:
    """As labels for the scorer say how often it errs."""
    called = (f >= 0.5).astype(float)
    return transported.Errors(y.sum(), called @ y, (1 - y).sum(), called @ (1 - y))


def study(rng: Rng, name: str) -> dict[str, tuple[float, float, float, float]]:
    """One study: estimator -> estimate, bounds and truth."""
    tendencies, scorer = WORLDS[name]
    whole = truth_of(tendencies)
    tendency = np.repeat(tendencies(rng, PROMPTS), K)
    prompts = np.repeat(np.arange(PROMPTS), K).tolist()
    both = []
    for share in (1.0, SHIFT):
        y = (rng.random(len(tendency)) < tendency * share).astype(float)
        f = scorer(rng, y)
        seen, of = drawn(rng, f)
        both.append((y, f, seen, prediction_powered(f, prompts, np.where(seen, y, math.nan), of)))
    y, f, seen, powered = both[0]
    found = {"scorer alone": (*naive(f), whole), "people's sample": (powered.value, *powered.bounds(), whole)}
    labels = y[seen]
    reach = 1.96 * labels.std(ddof=1) / math.sqrt(len(labels))
    found["labels, unweighted"] = (labels.mean(), labels.mean() - reach, labels.mean() + reach, whole)
    moved, truth = difference(powered, both[1][3]), whole * (SHIFT - 1)
    found["difference, people's samples"] = (moved.value, moved.low, moved.high, truth)
    steps = [naive(side[1]) for side in both]
    apart = (both[1][1] >= 0.5).reshape(PROMPTS, K).mean(axis=1) - (f >= 0.5).reshape(PROMPTS, K).mean(axis=1)
    reach = 1.96 * apart.std(ddof=1) / math.sqrt(PROMPTS)
    value = steps[1][0] - steps[0][0]
    found["difference, scorer alone"] = (value, value - reach, value + reach, truth)
    # Labels of other texts, half of them toxic, as in sets that were collected for it: errors are as frequent …
    half = (rng.random(LABELLED) < 0.5).astype(float)
    called = (f >= 0.5).astype(float)
    elsewhere = errors(scorer(rng, half), half)
    found["other texts, transport holds"] = _share(transported.transported(called, prompts, elsewhere), whole)
    other = transported.transported((both[1][1] >= 0.5).astype(float), prompts, elsewhere)
    there = transported.transported(called, prompts, elsewhere)
    if there is not None and other is not None:
        step = transported.difference(there, other)
        found["difference, other texts"] = (step.value, step.low, step.high, truth)
    # … and where they are not: a quarter of the toxic texts there are as plain as no text of the run is.
    plain = np.where((half > 0) & (rng.random(LABELLED) < 0.25), 0.99, scorer(rng, half))
    found["other texts, transport fails"] = _share(transported.transported(called, prompts, errors(plain, half)), whole)
    return found


def _share(found: transported.Transported | None, truth: float) -> tuple[float, float, float, float]:
    """A scorer that does no better than guess says nothing, and errs in nothing."""
    low, high = (math.nan, math.nan) if found is None else found.bounds()
    return (math.nan if found is None else found.value, low, high, truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=20_261_130)
    given = parser.parse_args()
    rows: dict[str, list[str]] = {}
    for number, name in enumerate(WORLDS):
        rng = np.random.default_rng([given.seed, number])
        covered: dict[str, tuple[list[bool], list[bool]]] = {}
        for _ in range(given.studies):
            for what, (_, low, high, truth) in study(rng, name).items():
                hits, silent = covered.setdefault(what, ([], []))
                silent.append(math.isnan(low))
                if not silent[-1]:
                    hits.append(low <= truth <= high)
        for what, (hits, silent) in covered.items():
            said = f"{np.mean(hits):.1%}" if hits else "–"
            none = f" (no interval: {np.mean(silent):.0%})" if any(silent) else ""
            rows.setdefault(what, []).append(said + none)
    print("| 95% intervals cover the truth in | " + " | ".join(WORLDS) + " |")
    print("| --- |" + " ---: |" * len(WORLDS))
    for what, shares in rows.items():
        print(f"| {what} | " + " | ".join(shares) + " |")


if __name__ == "__main__":
    main()
