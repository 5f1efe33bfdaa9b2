"""Approximate indexes of a datastore: time to build, time to search, and the share of true neighbours found.

    python benchmarks/index.py                      # clustered random keys, and hidden states of a random GPT-2
    python benchmarks/index.py --keys hidden --count 50000

Compares 8-bit codes with the 4-bit ones that ``methods/index.py`` builds, at as many bytes a key. 400 queries, drawn as
the keys are, k = 1,024; medians of five searches.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from generation import random_gpt2
from rich.console import Console
from rich.table import Table

from detoxbench.methods.layers import capture_input, key_layer
from detoxbench.methods.retrieval import index
from detoxbench.methods.retrieval.exact import ExactSearch

DIM, QUERIES, K, REPEATS = 768, 400, 1024, 5


def clustered(count: int) -> np.ndarray:
    """Random float32 rows ``[count, DIM]`` near a subspace of 64 dimensions."""
    rng = np.random.default_rng(0)
    subspace = rng.standard_normal((64, DIM), dtype=np.float32)
    noise = rng.standard_normal((count, DIM), dtype=np.float32)
    return rng.standard_normal((count, 64), dtype=np.float32) @ subspace + 0.5 * noise


@torch.inference_mode()
def hidden(count: int) -> np.ndarray:
    """Keys as Goodtriever stores them, ``[count, DIM]`` float32: of a random GPT-2 with four layers."""
    model = random_gpt2(4, DIM)
    generator = torch.Generator().manual_seed(3)
    found: list[np.ndarray] = []
    with capture_input(model.get_submodule(key_layer(model))) as captured:
        while sum(map(len, found)) < count:
            model.transformer(torch.randint(0, 3000, (48, 64), generator=generator))
            assert captured.states is not None
            found.append(captured.states.flatten(0, 1).numpy().copy())
    return np.concatenate(found)[:count]


KEYS: dict[str, Callable[[int], np.ndarray]] = {"clustered": clustered, "hidden": hidden}


def build(keys: np.ndarray, bits: int) -> tuple[Any, float]:
    """An index with codes of so many bits a part, and the seconds it took; ours is built by ``index.build``."""
    before = index.quantiser
    index.quantiser = lambda dim, **_: before(dim, bits)
    try:
        start = time.perf_counter()
        return index.build(keys), time.perf_counter() - start
    finally:
        index.quantiser = before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", choices=KEYS, action="append", help="repeatable; all by default")
    parser.add_argument("--count", type=int, default=100_000)
    options = parser.parse_args()
    table = Table("keys", "codes", "build s", "search s", f"recall@{K}", "error of distances / their spread")
    for name in options.keys or KEYS:
        drawn = KEYS[name](options.count + QUERIES)
        keys, queries = drawn[: options.count], torch.from_numpy(drawn[options.count :])
        truth = ExactSearch(keys).search(queries, K)[1].numpy()
        for bits in (8, 4):
            built, seconds = build(keys, bits)
            search = index.ApproximateSearch(built)
            distances, ids = (found.numpy() for found in search.search(queries, K))
            times = []
            for _ in range(REPEATS):
                start = time.perf_counter()
                search.search(queries, K)
                times.append(time.perf_counter() - start)
            recall = np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(truth, ids, strict=True)])
            table.add_row(
                name, index.quantiser(DIM, bits), f"{seconds:.1f}", f"{statistics.median(times):.3f}", f"{recall:.3f}",
                f"{spread(keys, queries.numpy(), distances, ids):.2f}",
            )  # fmt: skip
    Console().print(table)


def spread(keys: np.ndarray, queries: np.ndarray, distances: np.ndarray, ids: np.ndarray) -> float:
    """Error of a query's distances over the standard deviation of the true ones, both without their mean, which a
    softmax over neighbours ignores; the mean over queries."""
    shares = []
    for query, found, rows in zip(queries, distances, ids, strict=True):
        there = rows >= 0
        true = np.square(keys[rows[there]] - query).sum(1)
        error = found[there] - true
        shares.append(error.std() / true.std())
    return float(np.mean(shares))


if __name__ == "__main__":
    main()
