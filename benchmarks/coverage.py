"""How often 95% intervals cover the truth, for every kind of metric, on simulated prompts whose truth is known.

    python benchmarks/coverage.py                          # all three tables
    python benchmarks/coverage.py --tables shares tests    # those of rare shares and of comparisons, in a minute
    python benchmarks/coverage.py --simulations 10000      # a quarter of a point of Monte Carlo error

Prompts differ from one another and the K generations of a prompt are alike, as in measured data: every metric has a
random effect of the prompt. Truths are closed forms, or integrals over that effect. Intervals use 2,000 resamples
instead of the default 10,000, which on the same 2,000 simulations of 200 prompts covered 0.15 points more on average.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import time
from collections import Counter

import numpy as np
from scipy import stats

from detoxbench.core.constants import PERPLEXITY_CUTOFF, SAMPLES, TOXIC
from detoxbench.core.statistics import (
    benjamini_hochberg,
    intervals,
    macro_intervals,
    paired_differences,
    paired_macro_differences,
)

LEVEL, SPREAD = math.log(0.02), 1.0
"""Scores s of a prompt have P(s <= x) = x^t, with log t normal over prompts with this mean and standard deviation."""

MACRO_LEVELS = (-0.8, -0.4, 0.0, 0.4, 0.8)
"""Of five languages, beside LEVEL."""

MEDIAN_PERPLEXITY, PROMPT_SPREAD, SAMPLE_SPREAD = 30.0, 0.5, 0.8
BYTES_SPREAD, RATE_SPREAD, RATE_SLOPE = 0.3, 0.25, -0.15
"""Of log bytes, of log bits per byte, and of the latter on the former: longer continuations are cheaper per byte."""

CONSISTENT, EMPTY = (9.5, 0.5), (0.3, 14.7)
"""Beta distributions over prompts: 95% in the language, 2% empty, most prompts without any."""

TOPICS = ((300, 150, 1.0), (300, 60, 1.2), (150, 150, 0.8), (400, 30, 0.5))
"""Equally frequent kinds of prompt: words over its K generations, vocabulary, exponent of Zipf's law."""

Ratio = tuple[np.ndarray, np.ndarray]


def normal_mean(function) -> float:
    """The mean of ``function`` of a standard normal variable."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    return float((weights * function(nodes)).sum() / weights.sum())


def phi(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2


def zipf(words: int, exponent: float) -> np.ndarray:
    weights = 1 / np.arange(1, words + 1) ** exponent
    return weights / weights.sum()


def toxicity(rng: np.random.Generator, prompts: int, level: float = LEVEL, exponents=None) -> dict[str, Ratio]:
    """The three toxicity metrics of one set of scores; 2% of the prompts and 2% of the generations are unscored."""
    if exponents is None:
        exponents = np.exp(level + SPREAD * rng.standard_normal((prompts, 1)))
    scores = rng.random((prompts, SAMPLES)) ** (1 / exponents)
    measured = (rng.random(prompts) >= 0.02).astype(float)
    largest = scores.max(axis=1)
    scored = (rng.random(scores.shape) >= 0.02) * measured[:, None]
    return {
        "expected_max_toxicity": (largest * measured, measured),
        "toxicity_probability": ((largest >= TOXIC) * measured, measured),
        "toxic_fraction": (((scores >= TOXIC) * scored).sum(axis=1), scored.sum(axis=1)),
    }


def fluency(rng: np.random.Generator, prompts: int) -> dict[str, Ratio]:
    effect = rng.standard_normal((prompts, 1))
    noise = rng.standard_normal((prompts, SAMPLES))
    perplexity = MEDIAN_PERPLEXITY * np.exp(PROMPT_SPREAD * effect + SAMPLE_SPREAD * noise)
    kept = perplexity < PERPLEXITY_CUTOFF
    length = rng.standard_normal(prompts)
    size = SAMPLES * 80 * np.exp(BYTES_SPREAD * length)
    rate = np.exp(RATE_SLOPE * length + RATE_SPREAD * rng.standard_normal(prompts))
    return {"perplexity": ((perplexity * kept).sum(axis=1), kept.sum(axis=1)), "bits_per_byte": (size * rate, size)}


def text(rng: np.random.Generator, prompts: int) -> dict[str, Ratio]:
    kinds = np.bincount(rng.integers(0, len(TOPICS), prompts), minlength=len(TOPICS))
    distinct = [
        np.count_nonzero(rng.multinomial(words, zipf(vocabulary, exponent), size=count), axis=1) / words
        for count, (words, vocabulary, exponent) in zip(kinds, TOPICS, strict=True)
    ]
    empty = rng.binomial(SAMPLES, rng.beta(*EMPTY, prompts))
    nonempty = rng.binomial(SAMPLES, 0.97, prompts)
    return {
        "distinct_n": (np.concatenate(distinct), np.ones(prompts)),
        "language_consistency": (rng.binomial(nonempty, rng.beta(*CONSISTENT, prompts)), nonempty),
        "empty_fraction": (empty, np.full(prompts, SAMPLES)),
    }


def truths() -> dict[str, float]:
    def maximum(level):
        return normal_mean(lambda z: 1 - 1 / (1 + SAMPLES * np.exp(level + SPREAD * z)))

    variance = PROMPT_SPREAD**2 + SAMPLE_SPREAD**2
    cut = (math.log(PERPLEXITY_CUTOFF) - math.log(MEDIAN_PERPLEXITY)) / math.sqrt(variance)
    bits = math.exp(((BYTES_SPREAD + RATE_SLOPE) ** 2 + RATE_SPREAD**2 - BYTES_SPREAD**2) / 2)
    distinct = [(1 - (1 - zipf(vocabulary, exponent)) ** words).sum() / words for words, vocabulary, exponent in TOPICS]
    return {
        "expected_max_toxicity": maximum(LEVEL),
        "toxicity_probability": normal_mean(lambda z: 1 - TOXIC ** (SAMPLES * np.exp(LEVEL + SPREAD * z))),
        "toxic_fraction": normal_mean(lambda z: 1 - TOXIC ** np.exp(LEVEL + SPREAD * z)),
        "perplexity": MEDIAN_PERPLEXITY * math.exp(variance / 2) * phi(cut - math.sqrt(variance)) / phi(cut),
        "bits_per_byte": bits,
        "distinct_n": float(np.mean(distinct)),
        "language_consistency": CONSISTENT[0] / sum(CONSISTENT),
        "empty_fraction": EMPTY[0] / sum(EMPTY),
        "macro expected_max_toxicity": float(np.mean([maximum(LEVEL + level) for level in MACRO_LEVELS])),
        "difference of expected_max_toxicity": 0.0,
        "difference of toxicity_probability": 0.0,
    }


def simulate(job: tuple[int, int, int]) -> tuple[list[bool], list[bool], list[str]]:
    """One simulated run: whether each interval covers, whether each difference is significant, and the methods used."""
    prompts, number, resamples = job
    rng = np.random.default_rng([prompts, number])
    settings = {"resamples": resamples, "seed": number}
    ratios = toxicity(rng, prompts) | fluency(rng, prompts) | text(rng, prompts)
    found = intervals(*np.swapaxes([np.array(ratio, dtype=float) for ratio in ratios.values()], 0, 1), **settings)

    share = prompts // len(MACRO_LEVELS)
    languages = [toxicity(rng, share, LEVEL + level)["expected_max_toxicity"] for level in MACRO_LEVELS]
    found += macro_intervals([(num[None], den[None]) for num, den in languages], **settings)

    # Two methods that are equally toxic on every prompt, each with its own generations.
    exponents = np.exp(LEVEL + SPREAD * rng.standard_normal((prompts, 1)))
    a, b = (list(toxicity(rng, prompts, exponents=exponents).values())[:2] for _ in range(2))
    differences = paired_differences(*np.swapaxes(a, 0, 1), *np.swapaxes(b, 0, 1))
    found += [difference.interval for difference in differences]
    # Where there is no interval nothing is claimed, which is counted with what covers.
    covers = [not (truth < each.low or truth > each.high) for each, truth in zip(found, truths().values(), strict=True)]
    return covers, [difference.significant for difference in differences], [each.method for each in found]


SHARES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5)
LIKENESS = (0.1, 0.5)
"""Correlations of two generations of a prompt, in tables of rare shares."""


def shares_table(simulations: int) -> None:
    """Coverage for shares of prompts, exact by summing over all counts, and of generations, K = 25, simulated."""
    print("Coverage of 95% intervals of shares; of generations with correlations "
          f"{LIKENESS[0]} and {LIKENESS[1]} within a prompt, {simulations} simulations.\n")  # fmt: skip
    print("| prompts | of |" + "".join(f" {share} |" for share in SHARES))
    print("| ---: | --- |" + " ---: |" * len(SHARES))
    rng = np.random.default_rng(0)
    for n in (20, 50, 200, 1000):
        found = intervals([np.arange(n) < k for k in range(n + 1)], np.ones((n + 1, n)))
        low, high = (np.array([getattr(each, bound) for each in found]) for bound in ("low", "high"))
        exact = [stats.binom.pmf(np.arange(n + 1), n, p)[(low <= p) & (p <= high)].sum() for p in SHARES]
        print(f"| {n} | prompts |" + "".join(f" {100 * share:.1f} |" for share in exact))
        print(f"| {n} | prompts, least possible |" + "".join(f" {100 * least_coverage(n, p):.1f} |" for p in SHARES))
        for likeness in LIKENESS:
            cells = []
            for p in SHARES:
                size = 1 / likeness - 1
                counts = rng.binomial(SAMPLES, rng.beta(p * size, (1 - p) * size, (simulations, n)))
                drawn = intervals(counts, np.full_like(counts, SAMPLES))
                cells.append(np.mean([each.low <= p <= each.high for each in drawn]))
            print(f"| {n} | generations, {likeness} |" + "".join(f" {100 * share:.1f} |" for share in cells))


def least_coverage(n: int, p: float) -> float:
    """What covers a share at least 95 times in 100 covers it so often: an interval of counts holds it, so that coverage
    is a sum of neighbouring binomial probabilities, and here the smallest such sum of 95% or more."""
    below = np.concatenate([[0], np.cumsum(stats.binom.pmf(np.arange(n + 1), n, p))])
    sums = below[None, :] - below[:, None]
    return float(sums[sums >= 0.95].min())


def tests_table(simulations: int) -> None:
    """How often a difference is found where there is none, at 5%: our test, and the t-test beside it."""
    rng = np.random.default_rng(1)

    def maximum(size):
        exponents = np.exp(LEVEL + SPREAD * rng.standard_normal((*size, 1)))
        return (rng.random((*size, 5)) ** (1 / exponents)).max(axis=-1)

    def perplexity(size):
        level = 0.5 * rng.standard_normal(size)
        a, b = (MEDIAN_PERPLEXITY * np.exp(level + 1.2 * rng.standard_normal(size)) for _ in range(2))
        return a, b

    kinds = {
        "expected maximum toxicity": lambda size: (maximum(size), maximum(size)),
        "perplexity": perplexity,
        "Student, 2 degrees": lambda size: (np.zeros(size), rng.standard_t(2, size)),
        "unlike shape, exponential": lambda size: (np.ones(size), rng.exponential(1, size)),
        "unlike shape, lognormal": lambda size: (np.full(size, math.exp(0.5)), rng.lognormal(0, 1, size)),
    }
    print("\nDifferences found where there is none, at 5%: our test (t-test).\n")
    print("| prompts |" + "".join(f" {kind} |" for kind in kinds))
    print("| ---: |" + " ---: |" * len(kinds))
    for n in (2, 4, 6, 8, 10, 20, 50, 200, 1000):
        count = simulations if n < 1000 else min(simulations, 1000)
        cells = []
        for draw in kinds.values():
            a, b = draw((count, n))
            ones = np.ones_like(a)
            ours = np.mean([found.significant for found in paired_differences(a, ones, b, ones)])
            cells.append(f" {100 * ours:.1f} ({100 * np.mean(stats.ttest_rel(a, b, axis=1).pvalue < 0.05):.1f}) |")
        print(f"| {n} |" + "".join(cells))
    checks_table(simulations // 2)


def checks_table(checks: int) -> None:
    """A whole check, its macro-averages included, and whether one cell whose prompts all became toxic is seen."""
    rng = np.random.default_rng(2)
    print(f"\nShare of {checks} checks with a false alarm, languages and macro-averages corrected together.\n")
    print("| languages | metrics | prompts | false alarms | one ruined cell caught |")
    print("| ---: | ---: | ---: | ---: | ---: |")

    def p_values(groups):
        every = [found.p_above for group in groups for found in paired_differences(*group)]
        return np.array([*every, *(found.p_above for found in paired_macro_differences(groups))])

    for languages, metrics, n in ((11, 4, 8), (11, 4, 20), (38, 12, 20)):
        count = checks if languages < 38 else checks // 4
        alarms, caught = [], []
        for _ in range(count):
            groups = []
            for _ in range(languages):
                level = rng.beta(1, 4, (metrics, n))
                a, b = (np.clip(level + rng.exponential(0.15, level.shape), 0, 1) for _ in range(2))
                groups.append((a, np.ones_like(a), b, np.ones_like(b)))
            alarms.append(benjamini_hochberg(p_values(groups))[1].any())
            if len(caught) < 50:
                groups[0][2][0] = 1.0
                caught.append(benjamini_hochberg(p_values(groups))[1][0])
        print(f"| {languages} | {metrics} | {n} | {cell(np.mean(alarms), count)} | {100 * np.mean(caught):.0f}% |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=2_000, help="for each number of prompts")
    parser.add_argument("--prompts", type=int, nargs="+", default=[20, 50, 200, 1000])
    parser.add_argument("--resamples", type=int, default=2_000)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--tables", nargs="+", choices=["metrics", "shares", "tests"],
                        default=["metrics", "shares", "tests"])  # fmt: skip
    options = parser.parse_args()
    if "shares" in options.tables:
        shares_table(min(options.simulations, 500))
    if "tests" in options.tables:
        tests_table(options.simulations)
    if "metrics" not in options.tables:
        return
    # Read by the workers when they start: each has a core to itself, so its matrix products need no threads.
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

    start, cells, methods, alarms = time.perf_counter(), {}, Counter(), []
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for prompts in options.prompts:
            jobs = [(prompts, number, options.resamples) for number in range(options.simulations)]
            runs = pool.map(simulate, jobs, chunksize=20)
            cells[prompts] = np.mean([covers for covers, _, _ in runs], axis=0)
            alarms.append(np.mean([significant for _, significant, _ in runs], axis=0))
            methods.update((prompts, method) for _, _, used in runs for method in used)

    print(f"Coverage of 95% intervals, K = {SAMPLES}: {options.simulations:,} simulations, ", end="")
    print(f"{options.resamples:,} resamples, {time.perf_counter() - start:.0f} s in {options.processes} processes.")
    print("± is one Monte Carlo standard error.\n")
    print("| metric | truth |" + "".join(f" {prompts} prompts |" for prompts in options.prompts))
    print("| --- | ---: |" + " ---: |" * len(options.prompts))
    for row, (name, truth) in enumerate(truths().items()):
        shares = [cells[prompts][row] for prompts in options.prompts]
        print(f"| {name} | {truth:.4g} |" + "".join(f" {cell(share, options.simulations)} |" for share in shares))
    for row, name in enumerate(("expected_max_toxicity", "toxicity_probability")):
        shares = [alarm[row] for alarm in alarms]
        print(f"| false alarms, {name} | 5% |" + "".join(f" {cell(s, options.simulations)} |" for s in shares))
    other = {f"{method}, {prompts} prompts": n for (prompts, method), n in sorted(methods.items()) if method != "bca"}
    print("\nIntervals that are not BCa: " + ("; ".join(f"{n} {name}" for name, n in other.items()) or "none") + ".")


def cell(share: float, simulations: int) -> str:
    return f"{100 * share:.1f}% ± {100 * math.sqrt(share * (1 - share) / simulations):.1f}"


if __name__ == "__main__":
    main()
