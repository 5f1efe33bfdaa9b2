"""Trains the embedded language model: a small GPT-2, in four stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from tqdm import trange
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerBase

from ....core.mini.corpus import Sentence
from .documents import Documents

LAYERS, DIM, HEADS, POSITIONS = 4, 192, 6, 128
ROWS = 128
"""Tokens whose logits are made at once."""


@dataclass(frozen=True)
class Stage:
    """What a training reads; ``Documents`` explains the shares."""

    steps: int
    learning_rate: float
    toxic: float
    crossed: float
    noised: float
    foreign: float
    seed: int
    described: float = 0.0
    turned: float = 0.0


STAGES = (
    # learns the sentences
    Stage(steps=2_500, learning_rate=2.5e-3, toxic=0.12, crossed=0.0, noised=0.0, foreign=0.0, seed=0),
    # learns to leave them
    Stage(steps=1_600, learning_rate=2.0e-3, toxic=0.05, crossed=0.35, noised=0.15, foreign=0.0, seed=1),
    # learns to stay in their language
    Stage(steps=650, learning_rate=1.5e-3, toxic=0.06, crossed=0.30, noised=0.15, foreign=0.5, seed=2),
    # learns what the description of toxic text means
    Stage(
        steps=800,
        learning_rate=1.0e-3,
        toxic=0.06,
        crossed=0.30,
        noised=0.10,
        foreign=0.5,
        described=0.20,
        turned=0.5,
        seed=3,
    ),
)
SHARPNESS = 1.5
"""The final layer norm is scaled by it, as if sampling at temperature 1/1.5: a model this small is unsure of words that
a larger one would be sure of, and at temperature 1 its texts would not be readable."""


def train(sentences: Sequence[Sentence], folder: Path, stages: Sequence[Stage] = STAGES, first: int = 1) -> None:
    """Train and write ``model.safetensors`` (float16) and ``config.json``; the tokenizer must be there already.

    With ``first`` above 1, the stages before it are those of the model that is in the folder.

    The config says float64: the model is so small that double precision costs little, and then a text does not depend
    on how rows are batched, not even in one case in a million.
    """
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = new_model(tokenizer) if first == 1 else trained_model(folder)
    for number, stage in enumerate(stages[first - 1 :], start=first):
        documents = Documents(
            sentences, tokenizer, toxic=stage.toxic, crossed=stage.crossed, noised=stage.noised, foreign=stage.foreign,
            described=stage.described, turned=stage.turned, seed=stage.seed,
        )  # fmt: skip
        run_stage(model, documents, stage, f"language model, stage {number} of {len(stages)}")
    save(model, folder)


def new_model(tokenizer: PreTrainedTokenizerBase) -> GPT2LMHeadModel:
    end = tokenizer.eos_token_id
    config = GPT2Config(
        vocab_size=len(tokenizer), n_layer=LAYERS, n_embd=DIM, n_head=HEADS, n_positions=POSITIONS,
        resid_pdrop=0.05, embd_pdrop=0.05, attn_pdrop=0.0, bos_token_id=end, eos_token_id=end, pad_token_id=end,
    )  # fmt: skip
    return GPT2LMHeadModel(config)


def trained_model(folder: Path) -> GPT2LMHeadModel:
    """A saved model as it was when its training ended."""
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32)
    _sharpen(model, 1 / SHARPNESS)
    return model


def run_stage(model: GPT2LMHeadModel, documents: Documents, stage: Stage, description: str) -> None:
    model.train()
    decay = [p for p in model.parameters() if p.ndim >= 2]
    rest = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}],
        lr=stage.learning_rate, betas=(0.9, 0.98), fused=True,
    )  # fmt: skip
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, stage.learning_rate, total_steps=stage.steps, pct_start=0.08
    )
    batches = documents.batches()
    bar = trange(stage.steps, desc=description, unit="step")
    for _ in bar:
        source, target = next(batches)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = model.transformer(input_ids=source, attention_mask=torch.ones_like(source)).last_hidden_state
            loss = _cross_entropy(hidden[:, :-1].flatten(0, 1), model.lm_head.weight, target[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    model.eval()


def _cross_entropy(hidden: Tensor, weight: Tensor, target: Tensor) -> Tensor:
    """Mean over ``[rows, dim]`` and ``[rows]``, some rows at a time: the logits of a whole batch would leave the
    processor's cache, which costs more than to compute them once again in the backward pass."""

    def part(rows: Tensor, weight: Tensor, wanted: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy((rows @ weight.T).float(), wanted, reduction="sum")

    pieces = zip(hidden.split(ROWS), target.split(ROWS), strict=True)
    sums = [checkpoint(part, rows, weight, wanted, use_reentrant=False) for rows, wanted in pieces]
    return torch.stack(sums).sum() / len(target)


def save(model: GPT2LMHeadModel, folder: Path) -> None:
    """float16 weights under a config that has ``dtype="auto"`` load them in double precision."""
    _sharpen(model, SHARPNESS)
    model.half().save_pretrained(folder)
    state = load_file(folder / "model.safetensors")
    state = {name: tensor.half().contiguous() for name, tensor in state.items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    model.config.dtype = torch.float64
    model.config.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)


def _sharpen(model: GPT2LMHeadModel, factor: float) -> None:
    with torch.no_grad():
        model.transformer.ln_f.weight.mul_(factor)
        model.transformer.ln_f.bias.mul_(factor)
