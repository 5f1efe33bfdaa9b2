"""Tokens per second of our sampler beside transformers' own ``generate``, paired in one process.

    python benchmarks/generation.py                # peaked and flat next-token distributions
    python benchmarks/generation.py --repeats 5

The model is random and GPT-2-small-shaped (12 layers of 768, 50,257 tokens). Scaling its final layer norm by 6 makes
its next-token distribution as peaked as a trained model's. transformers runs 4 prompts at a time with
``num_return_sequences=25``, as the published systems do; ours forms its own batches.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from rich.console import Console
from rich.table import Table
from transformers import GPT2Config, GPT2LMHeadModel

from detoxbench.core.sampling import Sampling, generate
from detoxbench.core.sampling.engine import Request


def random_gpt2(layers: int = 12, dim: int = 768, vocab: int = 50_257, peak: float = 6.0, seed: int = 0):
    """A random GPT-2 whose final layer-norm weight is multiplied by ``peak``."""
    torch.manual_seed(seed)
    config = GPT2Config(n_layer=layers, n_embd=dim, n_head=dim // 64, vocab_size=vocab, bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(config).eval()
    model.transformer.ln_f.weight.data.mul_(peak)
    return model


def random_prompts(count: int, vocab: int = 50_257, seed: int = 1) -> list[list[int]]:
    """Token rows of 6 to 14 tokens, the lengths of RealToxicityPrompts."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(6, 15, (count,), generator=generator).tolist()
    return [torch.randint(1, vocab, (length,), generator=generator).tolist() for length in lengths]


def ours(model, prompts, samples: int, tokens: int) -> int:
    requests = [Request(prompt, index, range(samples)) for index, prompt in enumerate(prompts)]
    outputs = generate(model, requests, Sampling(max_new_tokens=tokens), eos=[])
    return sum(len(sample) for output in outputs for sample in output)


@torch.inference_mode()
def theirs(model, prompts, samples: int, tokens: int, batch: int = 4) -> int:
    total = 0
    for start in range(0, len(prompts), batch):
        rows = prompts[start : start + batch]
        width = max(map(len, rows))
        ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        output = model.generate(
            ids, attention_mask=mask, do_sample=True, top_p=0.9, top_k=0, num_return_sequences=samples,
            max_new_tokens=tokens, min_new_tokens=tokens, pad_token_id=0, eos_token_id=None,
        )  # fmt: skip
        total += output.shape[0] * (output.shape[1] - width)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--samples", type=int, default=25)
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3, help="paired runs; the medians are shown")
    options = parser.parse_args()
    prompts = random_prompts(options.prompts)
    table = Table("distribution", "ours tok/s", "transformers tok/s", "ratio (median)", "ratios")
    for name, peak in (("peaked (x 6)", 6.0), ("flat (x 1)", 1.0)):
        model = random_gpt2(peak=peak)
        rates: dict[str, list[float]] = {"ours": [], "theirs": []}
        for run in range(options.repeats):
            pair = [("ours", ours), ("theirs", theirs)]
            for label, function in pair if run % 2 else reversed(pair):
                start = time.perf_counter()
                count = function(model, prompts, options.samples, options.tokens)
                rates[label].append(count / (time.perf_counter() - start))
        ratios = [a / b for a, b in zip(rates["ours"], rates["theirs"], strict=True)]
        table.add_row(
            name,
            f"{statistics.median(rates['ours']):,.0f}",
            f"{statistics.median(rates['theirs']):,.0f}",
            f"{statistics.median(ratios):.2f}",
            " ".join(f"{ratio:.2f}" for ratio in ratios),
        )
    Console().print(table)


if __name__ == "__main__":
    main()
