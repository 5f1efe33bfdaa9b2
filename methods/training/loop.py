"""A training loop for losses of one's own: the same result whether it is killed or not, and an error if it did nothing.

transformers' Trainer trains whole causal LMs (``finetune``); this one trains any module, with any loss over some rows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ...core.errors import DetoxbenchError
from ...core.files import replacing
from ...core.parsing import parse_json
from .. import settings
from . import progress, work
from .pace import Pace

CHECKPOINT = "checkpoint.safetensors"
Loss = Callable[[Sequence[Any]], Tensor]
"""Mean loss of some rows."""


class Settings(settings.Settings):
    """Of the loop itself; a fit adds its own, and its own defaults."""

    epochs: int = Field(1, ge=1, description="passes over the texts")
    learning_rate: float = Field(2e-5, gt=0, description="at its highest")
    warmup_share: float = Field(0.1, ge=0, lt=1, description="of all steps, until it is reached")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's")
    gradient_norm: float = Field(1.0, gt=0, description="longer gradients are shortened to it")
    batch_size: int = Field(32, ge=1, description="rows a step")
    device_batch_size: int = Field(8, ge=1, description="rows a forward pass; the rest is accumulated")
    max_steps: int = Field(-1, description="stop there, whatever the epochs; -1: after the epochs")
    seed: int = Field(0, description="of order and dropout")


Optimizer = Literal["adamw", "rmsprop"]


@dataclass(frozen=True)
class How:
    """What the loop does that is no setting.

    Args:
        name: of what is trained, in messages.
        betas: AdamW's.
        optimizer: which one.
        checkpoint_steps: a killed training repeats at most so many steps.
        patience: stop after so many evaluations without an improvement; 0 never stops early.
        decay: the learning rate falls to 0 linearly; else it stays.
    """

    name: str
    betas: tuple[float, float] = (0.9, 0.999)
    optimizer: Optimizer = "adamw"
    checkpoint_steps: int = 500
    patience: int = 0
    decay: bool = True


def train(
    model: nn.Module,
    rows: Sequence[Any],
    loss: Loss,
    settings: Settings,
    how: How,
    folder: Path | None = None,
    *,
    held_out: Sequence[Any] = (),
) -> dict[str, Any]:
    """Train a module in place.

    Args:
        model: those of its parameters that require a gradient are trained.
        rows: what ``loss`` takes some of.
        loss: of the model as it stands; called with and without gradients.
        settings: epochs, batch size, learning rate and its warm-up, weight decay, seed.
        how: optimizer, early stopping, checkpoints.
        folder: where checkpoints lie; None keeps none.
        held_out: rows on which the loss is measured after each epoch; with ``patience``, the best epoch's parameters
            are kept.

    Returns:
        What the manifest says of the training: updates, loss before and after, how far the weights moved.

    Raises:
        DetoxbenchError: where there is no row, or the training diverged or changed next to nothing.
    """
    if not rows:
        raise DetoxbenchError(f"{how.name}: nothing to learn from")
    state = _State(model, rows, settings, how, folder)
    sample = list(rows[:: math.ceil(len(rows) / progress.SAMPLED_ROWS)])
    # Measured before a checkpoint is loaded, so that a resumed training says the same.
    model.eval()
    before = mean(loss, sample, settings.device_batch_size), progress.values(model)  # type: ignore[arg-type]
    if held_out and how.patience:
        state.judge(mean(loss, held_out, settings.device_batch_size))
    state.resume()
    device = next(model.parameters()).device
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        work.bar(total=state.total, initial=state.step, desc=how.name, unit="step") as bar,
    ):
        pace = Pace(how.name, state.total, state.step)
        while state.step < state.total and not state.stopped:
            model.train()
            found = state.update(loss)
            pace.update()
            bar.set_postfix(loss=f"{found:.4f}", refresh=False)
            bar.update()
            if held_out and how.patience and (state.step % state.per_epoch == 0 or state.step == state.total):
                model.eval()
                state.judge(mean(loss, held_out, settings.device_batch_size))
            if state.step % how.checkpoint_steps == 0 and state.step < state.total:
                state.save()
    state.use_best()
    model.eval()
    after = mean(loss, sample, settings.device_batch_size), progress.values(model)  # type: ignore[arg-type]
    change = progress.relative_change(before[1], after[1])
    plan = progress.Plan(state.step, settings.batch_size, 1, state.warmup)
    learned = progress.learned(how.name, plan, before[0], after[0], change)
    return learned | ({"held_out_loss": state.best, "held_out": len(held_out)} if held_out and how.patience else {})


@torch.no_grad()
def mean(loss: Loss, rows: Sequence[Any], size: int) -> float:
    """The mean loss of rows, so many at a time."""
    total = 0.0
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        total += float(loss(some)) * len(some)
    return total / len(rows)


class _State:
    """Everything that changes while training: written as one safetensors file, at once."""

    def __init__(self, model: nn.Module, rows: Sequence[Any], settings: Settings, how: How, folder: Path | None):
        self.rows, self.settings, self.how = rows, settings, how
        self.path = None if folder is None else folder / CHECKPOINT
        self.per_epoch = math.ceil(len(rows) / settings.batch_size)
        by_epochs = self.per_epoch * settings.epochs
        self.total = min(settings.max_steps, by_epochs) if settings.max_steps > 0 else by_epochs
        self.warmup = math.floor(self.total * settings.warmup_share)
        self.step, self.worse, self.stopped = 0, 0, False
        self.best = math.inf
        self.kept: dict[str, Tensor] | None = None
        self.trained = {name: one for name, one in model.named_parameters() if one.requires_grad}
        values = list(self.trained.values())
        if how.optimizer == "rmsprop":
            self.optimizer: torch.optim.Optimizer = torch.optim.RMSprop(values, lr=settings.learning_rate)
        else:
            self.optimizer = torch.optim.AdamW(
                values, lr=settings.learning_rate, betas=how.betas, weight_decay=settings.weight_decay
            )

    def rate(self) -> float:
        """The learning rate of the next update: up linearly, then down to 0 or constant."""
        if self.step < self.warmup:
            return self.settings.learning_rate * (self.step + 1) / self.warmup
        if not self.how.decay:
            return self.settings.learning_rate
        return self.settings.learning_rate * (self.total - self.step) / max(1, self.total - self.warmup)

    def update(self, loss: Loss) -> float:
        # Order and dropout depend on seed and step alone, so that a resumed training is the same training.
        epoch, at = divmod(self.step, self.per_epoch)
        order = np.random.default_rng([self.settings.seed, epoch]).permutation(len(self.rows))
        torch.manual_seed(self.settings.seed * 1_000_003 + self.step)
        size = self.settings.batch_size
        batch = [self.rows[row] for row in order[at * size : (at + 1) * size]]
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for start in range(0, len(batch), self.settings.device_batch_size):
            some = batch[start : start + self.settings.device_batch_size]
            error = loss(some) * (len(some) / len(batch))
            error.backward()
            total += float(error.detach())
        torch.nn.utils.clip_grad_norm_(self.trained.values(), self.settings.gradient_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        self.optimizer.step()
        self.step += 1
        return total

    def judge(self, loss: float) -> None:
        """Note the loss on held-out rows before training and after an epoch; what gave the best is kept."""
        if loss < self.best:
            self.best, self.worse = loss, 0
            self.kept = {name: one.detach().cpu().clone() for name, one in self.trained.items()}
        else:
            self.worse += 1
            self.stopped = self.worse >= self.how.patience

    @torch.no_grad()
    def use_best(self) -> None:
        for name, tensor in (self.kept or {}).items():
            self.trained[name].copy_(tensor)

    def save(self) -> None:
        if self.path is None:
            return
        tensors = {f"model.{name}": one for name, one in self.trained.items()}
        tensors |= {f"best.{name}": one for name, one in (self.kept or {}).items()}
        for number, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": torch.as_tensor(value) for name, value in moments.items()}
        facts = {"step": self.step, "best": self.best, "worse": self.worse}
        held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        with replacing(self.path) as partial:
            save_file(held, partial, {"state": json.dumps(facts)})

    @torch.no_grad()
    def resume(self) -> None:
        """From the checkpoint, where there is one."""
        if self.path is None or not self.path.is_file():
            return
        with safe_open(self.path, "pt") as file:
            facts = parse_json(file.metadata()["state"])
        self.step, self.best, self.worse = facts["step"], facts["best"], facts["worse"]
        tensors = load_file(self.path)
        for name, one in self.trained.items():
            one.copy_(tensors[f"model.{name}"])
        kept = {name.removeprefix("best."): tensor for name, tensor in tensors.items() if name.startswith("best.")}
        self.kept = kept or None
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                number, _, field = name.removeprefix("optimizer.").partition(".")
                moments.setdefault(int(number), {})[field] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
