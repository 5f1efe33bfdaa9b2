"""What RAD costs beside its base model, paired in one process: by the tree of candidates, or by copies of the cache.

    python benchmarks/rad.py                    # GPT-2 small, a reward model of a quarter of its size, k = 20
    python benchmarks/rad.py --sequences 1 --repeats 5 --copies

Both models are random. The base model has GPT-2 small's shape; the reward model a quarter of its parameters (6 layers
of 384, 50,257 tokens, of which it has no head). Sequences are sampled together, one prompt each.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from generation import random_gpt2, random_prompts
from rich.console import Console
from rich.table import Table

from detoxbench.core.sampling import Request, Sampling, generate
from detoxbench.methods import load_detoxified
from detoxbench.methods.rad.reward_model import RewardModel


def seconds(model, prompts: list[list[int]], tokens: int) -> float:
    """Of one generation of so many tokens for each prompt."""
    requests = [Request(prompt, at, [0]) for at, prompt in enumerate(prompts)]
    sampling = Sampling(max_new_tokens=tokens, top_p=1.0 if getattr(model, "truncates", False) else 0.9)
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    generate(model, requests, sampling, eos=[])
    return time.perf_counter() - start


def size(module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, nargs="+", default=[1, 4, 16], help="sampled together")
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3, help="paired runs; the medians are shown")
    parser.add_argument("--layers", type=int, default=6, help="of the reward model")
    parser.add_argument("--dim", type=int, default=384, help="of the reward model")
    parser.add_argument("--copies", action="store_true", help="also with a copy of the cache for each candidate")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    base = random_gpt2().to(options.device)
    reward = RewardModel.from_causal_lm(random_gpt2(options.layers, options.dim, seed=2)).to(options.device).eval()
    lm = load_detoxified(base, "rad", reward_model=reward, k=options.k)
    judge = lm.auxiliaries["reward_model"]
    ways = {"tree": True, **({"copies": False} if options.copies else {})}
    table = Table("sequences", "base, s", *(f"RAD by {way}, s" for way in ways), *(f"ratio, {way}" for way in ways))
    for count in options.sequences:
        prompts = random_prompts(count)
        found: dict[str, list[float]] = {"base": [], **{way: [] for way in ways}}
        seconds(lm, prompts[:1], 2)  # tries trees, and warms up
        for _ in range(options.repeats):
            found["base"].append(seconds(base, prompts, options.tokens))
            for way, tree in ways.items():
                judge.tree = tree
                found[way].append(seconds(lm, prompts, options.tokens))
        middle = {name: statistics.median(values) for name, values in found.items()}
        ratios = {way: [one / two for one, two in zip(found[way], found["base"], strict=True)] for way in ways}
        table.add_row(
            str(count), f"{middle['base']:.2f}", *(f"{middle[way]:.2f}" for way in ways),
            *(f"{statistics.median(one):.2f} ({min(one):.2f} to {max(one):.2f})" for one in ratios.values()),
        )  # fmt: skip
    console = Console()
    share = size(reward) / size(base)
    console.print(f"base model {size(base):,} parameters, reward model {size(reward):,} ({share:.0%})")
    console.print(table)


if __name__ == "__main__":
    main()
