"""Tokens per second of each decoding method beside our own base model and beside plain published-style code.

    python benchmarks/methods.py                               # GPT-2-small-shaped, 16 prompts x 25 x 20 tokens
    python benchmarks/methods.py --size 6x256
    python benchmarks/methods.py --device cuda --dtype bfloat16 --size 1.3b --prompts 64

Models are random. Goodtriever has two datastores of 100,000 random keys and k 1024. Every run of ours is paired with a
run of our base model, in turns, in one process; medians are shown. "stand-in" is published_steps.py, which does what
published code does at each step (it is not that code), on fewer prompts, since it is slow; the published code's own
figures were measured once on 2 cores and are printed beside for orientation.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import published_steps
import torch
from generation import random_gpt2, random_prompts
from rich.console import Console
from rich.table import Table

from detoxbench.core.sampling import Sampling, generate
from detoxbench.core.sampling.engine import Request
from detoxbench.methods import load_detoxified
from detoxbench.methods.rectification.value_model import ValueModel
from detoxbench.methods.retrieval.datastore import Datastore

SIZES = {"12x768": (12, 768, 50_257), "6x256": (6, 256, 8_000), "1.3b": (24, 2048, 50_257)}
PUBLISHED = {
    "12x768": {"base": 167, "dexperts": 50, "goodtriever": 74, "rectification": 11},
    "6x256": {"base": 1661, "dexperts": 562, "goodtriever": 525, "rectification": 188},
}
AT_MOST = {"dexperts": 3.1, "goodtriever": 1.4, "rectification": 2.6}
AT_LEAST = {"base": 2.0, "dexperts": 2.0, "goodtriever": 3.5, "rectification": 10.0}
KEYS, K = 100_000, 1024


class Bench:
    """The models, datastores and ways to run them.

    Args:
        size: of ``SIZES``.
        folder: to write datastores into.
        device, dtype: of every model.
    """

    def __init__(self, size: str, folder: Path, device: str, dtype: torch.dtype, methods: list[str]):
        layers, dim, vocab = SIZES[size]
        self.vocab = vocab

        def model(seed: int) -> Any:
            return random_gpt2(layers, dim, vocab, seed=seed).to(device, dtype)

        self.base = model(0)
        self.ours: dict[str, Any] = {"base": self.base}
        self.theirs: dict[str, tuple[Callable | None, float]] = {"base": (None, 0.9)}
        if "dexperts" in methods:
            pair = model(1), model(2)
            self.ours["dexperts"] = load_detoxified(self.base, "dexperts", expert=pair[0], antiexpert=pair[1])
            self.theirs["dexperts"] = (published_steps.dexperts(*pair), 1.0)
        if "goodtriever" in methods:
            stores = [self._store(folder / name, dim, seed) for seed, name in enumerate(("toxic", "nontoxic"))]
            self.ours["goodtriever"] = load_detoxified(
                self.base, "goodtriever", toxic_datastore=stores[0], nontoxic_datastore=stores[1], k=K
            )
            self.theirs["goodtriever"] = (published_steps.goodtriever(self.base, *stores, k=K), 1.0)
        if "rectification" in methods:
            value = ValueModel.from_causal_lm(model(3)).eval()
            torch.nn.init.constant_(value.head[2].bias, -0.2)
            self.ours["rectification"] = load_detoxified(self.base, "rectification", value_model=value)
            self.theirs["rectification"] = (published_steps.rectification(value), 0.9)

    def _store(self, path: Path, dim: int, seed: int) -> Datastore:
        rng = np.random.default_rng(seed)
        keys = rng.standard_normal((KEYS, dim), dtype=np.float32)
        return Datastore.from_arrays(path, keys, rng.integers(1, self.vocab, KEYS), model=self.base)

    def run_ours(self, name: str, prompts: list[list[int]], samples: int, tokens: int, batch: int | None) -> int:
        requests = [Request(prompt, index, range(samples)) for index, prompt in enumerate(prompts)]
        top_p = 1.0 if getattr(self.ours[name], "truncates", False) else 0.9
        sampling = Sampling(max_new_tokens=tokens, top_p=top_p)
        outputs = generate(self.ours[name], requests, sampling, eos=[], batch_tokens=batch)
        return sum(len(sample) for output in outputs for sample in output)

    def run_theirs(self, name: str, prompts: list[list[int]], samples: int, tokens: int) -> int:
        step, top_p = self.theirs[name]
        return published_steps.run(self.base, prompts, samples, tokens, step, top_p)


def rate(function: Callable[..., int], *arguments: Any) -> float:
    """Tokens per second of one run."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    return function(*arguments) / (time.perf_counter() - start)


def measure(bench: Bench, options: argparse.Namespace, table: Table, console: Console) -> None:
    prompts = random_prompts(options.prompts, bench.vocab)
    few = prompts[: options.stand_in_prompts]
    shape = (options.samples, options.tokens)
    published = PUBLISHED.get(options.size, {})
    bench.run_ours("base", few, options.samples, 2, options.batch_tokens)
    for name in bench.ours:
        bench.run_ours(name, few, options.samples, 2, options.batch_tokens)  # what is built at the first call
        rates: dict[str, list[float]] = {"base": [], "ours": [], "theirs": []}
        for repeat in range(options.repeats):
            pair = [("base", "base"), ("ours", name)]
            for label, which in pair if repeat % 2 == 0 else reversed(pair):
                rates[label].append(rate(bench.run_ours, which, prompts, *shape, options.batch_tokens))
            if few and repeat < options.stand_in_repeats:
                length = min(options.tokens, options.stand_in_tokens)
                rates["theirs"].append(rate(bench.run_theirs, name, few, options.samples, length))
        ratio = statistics.median(b / o for b, o in zip(rates["base"], rates["ours"], strict=True))
        ours = statistics.median(rates["ours"])
        theirs = statistics.median(rates["theirs"]) if rates["theirs"] else None
        table.add_row(
            name,
            f"{ours:,.0f}",
            "" if name == "base" else f"{ratio:.2f} (<= {AT_MOST[name]})",
            f"{theirs:,.0f}" if theirs else "",
            f"{ours / theirs:.1f} (>= {AT_LEAST[name]})" if theirs else "",
            f"{published[name]:,}" if published else "",
        )
        console.print(f"{name}: {ours:,.0f} tokens/s, {ratio:.2f} x the base model's time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="12x768")
    parser.add_argument("--methods", default="dexperts,goodtriever,rectification", help="which, with commas")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--samples", type=int, default=25)
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3, help="pairs; medians are shown")
    parser.add_argument("--stand-in-prompts", type=int, default=4, help="0 runs no stand-in")
    parser.add_argument("--stand-in-tokens", type=int, default=20)
    parser.add_argument("--stand-in-repeats", type=int, default=1)
    parser.add_argument("--batch-tokens", type=int, default=None, help="bound of a batch; by default the sampler's")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    options = parser.parse_args()
    title = f"{options.size}, {options.prompts} x {options.samples} x {options.tokens}, {options.device}"
    table = Table("method", "ours tok/s", "time / our base", "stand-in tok/s", "ours / stand-in", "published tok/s",
                  title=f"{title}, {options.dtype}")  # fmt: skip
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        methods = options.methods.split(",")
        bench = Bench(options.size, Path(folder), options.device, getattr(torch, options.dtype), methods)
        measure(bench, options, table, console)
    console.print(table)


if __name__ == "__main__":
    main()
