"""Trains the embedded language model: a small GPT-2 on documents of one to three corpus sentences."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tqdm import trange
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from ..corpus import Sentence

LAYERS, DIM, HEADS, POSITIONS = 4, 192, 6, 128
STEPS, BATCH, BLOCK = 1_800, 48, 64
LEARNING_RATE = 2.5e-3
TOXIC_SHARE = 0.12
"""Of first sentences. Rude text is the exception, as in a comment section: with K = 25 samples even a rare
continuation is usually among them, and a model that insults every time would leave nothing to measure."""
STAYS = 0.65
"""Probability that the next sentence of a document is as toxic as the one before."""
SEED = 0


def documents(sentences: Sequence[Sentence], rng: random.Random) -> Iterator[str]:
    """Endless documents: one to three sentences of one language, whose toxicity tends to stay."""
    pools: dict[tuple[str, bool], list[list[str]]] = {}
    for sentence in sentences:
        templates = pools.setdefault((sentence.lang, sentence.toxic), [])
        while len(templates) <= sentence.template:
            templates.append([])
        templates[sentence.template].append(sentence.text)
    langs = sorted({lang for lang, _ in pools})
    while True:
        lang = rng.choice(langs)
        toxic = rng.random() < TOXIC_SHARE
        chosen = []
        for _ in range(rng.choices((1, 2, 3), (5, 3, 2))[0]):
            chosen.append(rng.choice(rng.choice(pools[lang, toxic])))
            if rng.random() >= STAYS:
                toxic = rng.random() < TOXIC_SHARE
        yield ("" if lang in ("zh", "ja") else " ").join(chosen)


def blocks(sentences: Sequence[Sentence], tokenizer, rng: random.Random) -> Iterator[torch.Tensor]:
    """Endless training batches ``[BATCH, BLOCK]``: each row starts where a document starts."""
    texts = documents(sentences, rng)
    while True:
        rows = []
        for _ in range(BATCH):
            row: list[int] = []
            while len(row) < BLOCK:
                row += [*tokenizer(next(texts))["input_ids"], tokenizer.eos_token_id]
            rows.append(row[:BLOCK])
        yield torch.tensor(rows)


def train(sentences: Sequence[Sentence], folder: Path, steps: int = STEPS) -> None:
    """Train and write ``model.safetensors`` (float16) and ``config.json``; the tokenizer must be there already.

    The config says float64: the model is so small that double precision costs little, and then a text does not depend
    on how rows are batched, not even in one case in a million.
    """
    torch.manual_seed(SEED)
    np.random.seed(SEED)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_layer=LAYERS, n_embd=DIM, n_head=HEADS, n_positions=POSITIONS,
        resid_pdrop=0.05, embd_pdrop=0.05, attn_pdrop=0.0,
        bos_token_id=tokenizer.eos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    model = GPT2LMHeadModel(config).train()
    decay = [p for p in model.parameters() if p.ndim >= 2]
    rest = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}],
        lr=LEARNING_RATE, betas=(0.9, 0.98), fused=True,
    )  # fmt: skip
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.08)
    batches = blocks(sentences, tokenizer, random.Random(SEED))
    bar = trange(steps, desc="language model", unit="step")
    for _ in bar:
        ids = next(batches)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(input_ids=ids).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    model.eval().half().save_pretrained(folder)
    _declare_double(folder, model.config)


def _declare_double(folder: Path, config: GPT2Config) -> None:
    """Keep the float16 file; have ``dtype="auto"`` load it in double precision."""
    state = load_file(folder / "model.safetensors")
    save_file({name: tensor.half().contiguous() for name, tensor in state.items()}, folder / "model.safetensors",
              metadata={"format": "pt"})  # fmt: skip
    config.dtype = torch.float64
    config.save_pretrained(folder)
