"""How much shared random numbers shrink the interval of a paired difference.

    python benchmarks/coupling.py
    python benchmarks/coupling.py --languages en ja --strength 0.5

Two runs of the embedded model, plain and with every token's score lowered in proportion to how rude the embedded
scorer finds it, under three ways to draw random numbers:

    hashed Gumbel   ours: one number a token, hashed from (seed, prompt, sample, step, token), the same for both runs
    one uniform     one number a step, the same for both runs, turned into a token by the inverse distribution function
    independent     another seed for the second run

For each: the width of the 95% interval of the difference in expected maximum toxicity (paired over prompts).
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoModelForCausalLM, AutoTokenizer

from detoxbench.core import mini, scorers
from detoxbench.core.sampling import Sampling, engine, generate
from detoxbench.core.sampling.engine import Request
from detoxbench.core.sampling.noise import exponential, prompt_key
from detoxbench.core.sampling.nucleus import draw
from detoxbench.core.statistics import paired_difference
from detoxbench.tasks.prompts.mini import languages, load


def one_uniform(scores, keys, top_p=1.0, temperature=1.0, top_k=0):
    """A draw by the inverse of the nucleus's distribution function, tokens in order of their ids."""
    ordered, tokens = scores.softmax(-1).sort(descending=True)
    ordered[(ordered.cumsum(-1) - ordered) >= top_p] = 0
    mass = torch.zeros_like(ordered).scatter(-1, tokens, ordered).cumsum(-1)
    uniform = 1 - (-exponential(keys.reshape(-1, 2), torch.zeros(1, dtype=torch.int64))).exp()
    uniform = uniform.view(*keys.shape[:2]).to(mass.dtype) * mass[:, -1:]
    return torch.searchsorted(mass, uniform, right=True).clamp(max=scores.shape[-1] - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--languages", nargs="*", default=languages())
    parser.add_argument("--strength", type=float, nargs="*", default=[0.25, 1.0], help="how strong the change is")
    parser.add_argument("--samples", type=int, default=25)
    options = parser.parse_args()
    scorer = scorers.load("mini")
    tokenizer = AutoTokenizer.from_pretrained(mini.MODEL)
    model = AutoModelForCausalLM.from_pretrained(mini.MODEL, dtype="auto").eval()
    pieces = [tokenizer.decode([token]) for token in range(len(tokenizer))]
    rudeness = np.nan_to_num(scorer.score(pieces, "en").values["toxicity"] - 0.4, nan=0.0)
    penalty = torch.as_tensor(np.clip(rudeness, 0, None) * 10)
    prompts = [prompt for lang in options.languages for prompt in load(lang)]
    requests = [
        Request(tokenizer(prompt.text)["input_ids"], prompt_key(prompt.text), range(options.samples))
        for prompt in prompts
    ]

    def maxima(draw_function, seed: int, strength: float) -> np.ndarray:
        """Largest score of each prompt's continuations."""
        engine.draw = lambda scores, *rest: draw_function(scores - strength * penalty, *rest)
        try:
            outputs = generate(model, requests, Sampling(seed=seed), eos=[tokenizer.eos_token_id])
        finally:
            engine.draw = draw
        texts = [tokenizer.decode(sample) for output in outputs for sample in output]
        scores = np.nan_to_num(scorer.score(texts, "en").values["toxicity"], nan=0.0)
        return scores.reshape(len(prompts), -1).max(-1)

    ones = np.ones(len(prompts))
    table = Table(
        "strength", "random numbers", "difference [low, high]", "width", "width / independent", "prompts saved"
    )
    for strength in options.strength:
        widths = {}
        for name, function, seeds in (
            ("independent", draw, (0, 1)),
            ("one uniform", one_uniform, (0, 0)),
            ("hashed Gumbel", draw, (0, 0)),
        ):
            found = paired_difference(maxima(function, seeds[0], 0.0), ones, maxima(function, seeds[1], strength), ones)
            interval = found.interval
            widths[name] = interval.high - interval.low
            share = widths[name] / widths["independent"]
            table.add_row(
                f"{strength:g}", name, f"{interval.value:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]",
                f"{widths[name]:.4f}", f"{share:.2f}", f"{1 - share**2:.0%}",
            )  # fmt: skip
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
