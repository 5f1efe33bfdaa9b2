"""How many updates a training takes, and whether it changed anything: a fit that does nothing must not pass for one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.trainer_callback import ProgressCallback

from ...core.errors import DetoxbenchError
from . import work

ENOUGH = 50
"""Updates that a training by epochs takes at least, where a smaller batch can have them."""
SMALLEST_BATCH = 8
"""Rows; for more updates a batch is not lowered below this."""
WARMUP_SHARE = 0.1
"""Of all updates: warm-up is never longer, whatever its number of steps."""
SAMPLED_ROWS = 64
"""Rows that the loss before and after is measured on."""
SAMPLED_VALUES = 4_096
"""Of each parameter, to estimate how far weights moved."""
MOVED, LEARNED = 1e-4, 1e-3
"""Relative change of the weights, and change of the loss in nats a token: below both, nothing that matters happened."""


class Bar(ProgressCallback):
    """The trainer's bar alone: what it logs (a dictionary every fifty updates) is said once, at the end, in words."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self.training_bar = work.bar(total=state.max_steps, desc="training", unit="update")
        self.current_step = 0

    def on_log(self, *_: Any, **__: Any) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Plan:
    """What a training will do.

    Args:
        updates: of the weights.
        batch_size: rows an update, over all devices.
        accumulation: forward passes an update on each device.
        warmup: updates until the learning rate is at its highest.
    """

    updates: int
    batch_size: int
    accumulation: int
    warmup: int

    def record(self) -> dict[str, Any]:
        """For the manifest."""
        return {"updates": self.updates, "rows_an_update": self.batch_size, "warmup_updates": self.warmup}


def plan(
    rows: int, *, epochs: float, max_steps: int, batch_size: int, device_batch: int, processes: int, warmup_steps: int
) -> Plan:
    """The updates of a training over so many rows.

    A batch that leaves fewer than ``ENOUGH`` updates is made smaller, unless ``max_steps`` says their number; warm-up
    is at most a share of them.

    >>> plan(160, epochs=3, max_steps=-1, batch_size=512, device_batch=8, processes=1, warmup_steps=100)
    Plan(updates=60, batch_size=8, accumulation=1, warmup=6)
    """
    lowered = max(SMALLEST_BATCH, math.floor(rows * epochs / ENOUGH))
    fewer = max_steps < 0 and lowered < batch_size
    batch_size = lowered if fewer else batch_size
    device_batch = min(device_batch, batch_size)
    wanted = batch_size / device_batch / processes
    accumulation = max(1, math.floor(wanted) if fewer else round(wanted))
    passes = math.ceil(rows / device_batch / processes)
    updates = max_steps if max_steps > 0 else math.ceil(max(1, math.ceil(passes / accumulation)) * epochs)
    warmup = min(warmup_steps, math.floor(updates * WARMUP_SHARE))
    return Plan(updates, device_batch * accumulation * processes, accumulation, warmup)


def sampled(rows: list[list[int]]) -> list[list[int]]:
    """Some rows, evenly spread."""
    return rows[:: math.ceil(len(rows) / SAMPLED_ROWS)]


@torch.no_grad()
def values(model: PreTrainedModel) -> dict[str, Tensor]:
    """Some values of every parameter, evenly spread; float32 on the CPU."""
    found = {}
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point() and not parameter.is_meta:
            flat = parameter.detach().flatten()
            # In double precision: float32 has no number between 2**24 and 2**24 + 2, and 50,257 x 768 is beyond.
            at = torch.linspace(0, len(flat) - 1, min(len(flat), SAMPLED_VALUES), dtype=torch.float64).long()
            found[name] = flat[at.to(flat.device)].float().cpu().clone()
    return found


def relative_change(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> float:
    """``|after - before| / |before|`` over all sampled values, in the Euclidean norm."""
    shared = before.keys() & after.keys()
    moved = math.fsum(float((after[name] - before[name]).double().square().sum()) for name in shared)
    norm = math.fsum(float(before[name].double().square().sum()) for name in shared)
    return math.sqrt(moved / norm) if norm > 0 else 0.0


def learned(name: str, plan: Plan, loss_before: float, loss_after: float, change: float) -> dict[str, Any]:
    """What the manifest says of a training that did something.

    Raises:
        DetoxbenchError: for one that diverged, or that changed next to nothing, with the remedy.
    """
    if not (math.isfinite(loss_after) and math.isfinite(change)):
        raise DetoxbenchError(
            f"{name}: the training diverged (loss {loss_before:.4g} -> {loss_after}): use a smaller learning rate"
        )
    if change < MOVED and abs(loss_after - loss_before) < LEARNED:
        raise DetoxbenchError(
            f"{name}: {plan.updates} updates changed next to nothing (weights by {change:.1g}, relative; loss on its "
            f"own texts {loss_before:.4f} -> {loss_after:.4f}), so that the method would equal the base model: raise "
            "--learning-rate, give more texts or --epochs (or --max-steps), or a smaller --batch-size"
        )
    return {**plan.record(), "loss_before": loss_before, "loss_after": loss_after, "relative_change": change}
