"""How many continuations depend on what else is in their batch, by precision; as JSON.

    python benchmarks/batch_independence.py --out runs/batch_independence.json

The same prompts are continued in small and in large batches, with the same noise. In float32 the scores of a row
differ between batches in their last bits; in bfloat16 in the third digit, since matrix products of other shapes add up
in another order and round after each. A draw changes where two perturbed scores are nearer than that. Three remedies
are tried in bfloat16: scores computed in float32 from the last hidden states, the whole model in float32 on weights
rounded to bfloat16, and batches of one shape (as many rows, as many positions, at every step), which a server has not.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from detoxbench.core.mini import model_folder
from detoxbench.core.sampling import Request, Sampling, generate
from detoxbench.core.sampling.noise import prompt_key
from detoxbench.tasks.prompts import mini

SMALL, LARGE = 300, 20_000


def float32_head(model: Any) -> Any:
    """The last layer in float32: its input is rounded all the same."""
    head = model.get_output_embeddings()
    weight = head.weight.detach().float()
    head.register_forward_pre_hook(lambda _, states: (states[0].float(),))
    head.weight = torch.nn.Parameter(weight, requires_grad=False)
    return model


def load(source: str, how: str, gguf: str | None) -> Any:
    options = {"gguf_file": gguf} if gguf else {}
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, **options).eval()
    if how == "float32":
        return model
    model = model.to(torch.bfloat16)
    if how == "bfloat16 weights, float32 arithmetic":
        return model.float()
    return float32_head(model) if how == "bfloat16, float32 head" else model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--gguf")
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    source = model_folder(given.model)
    tokenizer = AutoTokenizer.from_pretrained(source, **({"gguf_file": given.gguf} if given.gguf else {}))
    texts = [prompt.text for lang in ("en", "es", "fr") for prompt in mini.load(lang)][: given.prompts]
    requests = [Request(tokenizer(text).input_ids, prompt_key(text), range(given.samples), text) for text in texts]
    found = {}
    for how in ("float32", "bfloat16", "bfloat16, float32 head", "bfloat16 weights, float32 arithmetic"):
        model = load(source, how, given.gguf)
        small, large = (
            generate(model, requests, Sampling(given.tokens), eos=[tokenizer.eos_token_id], batch_tokens=tokens)
            for tokens in (SMALL, LARGE)
        )
        pairs = [pair for a, b in zip(small, large, strict=True) for pair in zip(a, b, strict=True)]
        found[how] = {"texts": len(pairs), "differ": sum(a != b for a, b in pairs)}
        print(how, found[how], flush=True)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps({"model": given.model, "batch_tokens": [SMALL, LARGE], **found}, indent=2))


if __name__ == "__main__":
    main()
