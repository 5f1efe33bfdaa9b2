"""Seconds and memory of BCa intervals, beside scipy.stats.bootstrap on the same data and at the same size.

    python benchmarks/bootstrap.py                       # 10,000 prompts, 10,000 resamples, 9 metrics
    python benchmarks/bootstrap.py --scipy-metrics 0     # without scipy

Every measurement runs in a process of its own, so that its peak memory is its own; times leave out start-up, imports
and making the data. The runs alternate, since other work on the machine slows both. scipy takes one metric at a time;
where it is run on fewer metrics than ours, its time is multiplied up and the table says so.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import time

import numpy as np


def measurements(metrics: int, prompts: int) -> tuple[np.ndarray, np.ndarray]:
    """Numerators and denominators [metrics, prompts]: half of them means, half ratios of skewed sums."""
    rng = np.random.default_rng(0)
    denominators = np.ones((metrics, prompts))
    denominators[metrics // 2 :] = rng.integers(1, 26, (metrics - metrics // 2, prompts))
    return denominators * rng.lognormal(-2, 0.7, (metrics, prompts)), denominators


def ours(numerators: np.ndarray, denominators: np.ndarray, resamples: int) -> list[tuple[float, float]]:
    from detoxbench.core.statistics import intervals

    return [(found.low, found.high) for found in intervals(numerators, denominators, resamples=resamples)]


def ours_paired(numerators: np.ndarray, denominators: np.ndarray, resamples: int) -> list[tuple[float, float]]:
    from detoxbench.core.statistics import paired_differences

    other = (numerators[:, ::-1], denominators[:, ::-1])
    found = paired_differences(numerators, denominators, *other)  # draws nothing
    return [(difference.interval.low, difference.interval.high) for difference in found]


def scipys(numerators: np.ndarray, denominators: np.ndarray, resamples: int) -> list[tuple[float, float]]:
    from scipy import stats

    def ratio(num, den, axis=-1):
        return num.sum(axis=axis) / den.sum(axis=axis)

    # batch bounds the memory: scipy holds batch x prompts indices and values.
    settings = {"paired": True, "batch": 100, "method": "BCa", "rng": 0}
    every = [
        stats.bootstrap(data, ratio, n_resamples=resamples, **settings).confidence_interval
        for data in zip(numerators, denominators, strict=True)
    ]
    return [(found.low, found.high) for found in every]


def in_process(run, metrics: int, prompts: int, resamples: int) -> tuple[float, float, np.ndarray]:
    """Seconds, peak MiB and bounds [metrics, 2] of ``run`` in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measured, (run, metrics, prompts, resamples))


def measured(run, metrics: int, prompts: int, resamples: int) -> tuple[float, float, np.ndarray]:
    data = measurements(metrics, prompts)
    run(*measurements(1, 10), 100)  # imports
    start = time.perf_counter()
    bounds = np.array(run(*data, resamples))
    seconds = time.perf_counter() - start
    # Linux counts kibibytes here.
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, bounds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=10_000)
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--metrics", type=int, default=9)
    parser.add_argument("--scipy-metrics", type=int, help="metrics scipy is run on (default: all; 0: none)")
    parser.add_argument("--repeats", type=int, default=5, help="medians over these are printed")
    options = parser.parse_args()
    given = options.metrics if options.scipy_metrics is None else min(options.scipy_metrics, options.metrics)

    rows = {"intervals": (ours, options.metrics), "paired differences (sign-flip)": (ours_paired, options.metrics)}
    if given:
        rows["scipy.stats.bootstrap"] = (scipys, given)
    runs = {name: [] for name in rows}
    for _ in range(options.repeats):
        for name, (run, metrics) in rows.items():
            runs[name].append(in_process(run, metrics, options.prompts, options.resamples))

    print(f"{options.metrics} metrics, {options.prompts:,} prompts, {options.resamples:,} resamples, BCa;", end=" ")
    print(f"{len(os.sched_getaffinity(0))} cores, medians of {options.repeats}\n")
    print("| | seconds | slowest | peak MiB | times the first |\n| --- | ---: | ---: | ---: | ---: |")
    first = statistics.median(run[0] for run in runs["intervals"])
    for name, (_, metrics) in rows.items():
        scale = options.metrics / metrics
        seconds = [run[0] * scale for run in runs[name]]
        peak = statistics.median(run[1] for run in runs[name])
        median = statistics.median(seconds)
        label = name if scale == 1 else f"{name} (run on {metrics}, multiplied up)"
        print(f"| {label} | {median:.2f} | {max(seconds):.2f} | {peak:.0f} | {median / first:.1f} |")
    if given == options.metrics:
        mine, theirs = runs["intervals"][0][2], runs["scipy.stats.bootstrap"][0][2]
        apart = np.abs(mine - theirs).max(axis=1) / (theirs[:, 1] - theirs[:, 0])
        print(f"\nBounds are within {apart.max():.1%} of the interval's width of scipy's, with other random numbers.")


if __name__ == "__main__":
    main()
