"""Offline SARSA for rectification's value model: how toxic a text ends, learned from scored continuations (Cao et al.).

``Q(s_t, a_t) <- clip(gamma * Q_target(s_{t+1}, a_{t+1}), -1, 0)``; at the last token the reward: -1 for a toxic text.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ...core.files import replacing
from ...core.parsing import parse_json
from ..training import work
from ..training.pace import Pace
from ..training.used_rows import Places, embedding_rows, output_rows
from .settings import Training
from .value_model import ValueModel

CHECKPOINT = "sarsa.safetensors"


@dataclass(frozen=True)
class Trajectory:
    """A prompt with one of its continuations.

    Args:
        tokens: all token ids, at least two.
        reward: -1 if the continuation is toxic, else 0.
    """

    tokens: Sequence[int]
    reward: float


def action_values(head: nn.Sequential, states: Tensor, actions: Tensor) -> Tensor:
    """``Q(s, a)`` of the actions taken: the head's output at one token a position, without the rest of the vocabulary.

    Args:
        head: see ``value_model.q_head``.
        states: ``[batch, pos, dim]``.
        actions: token ids ``[batch, pos]``.

    Returns:
        ``[batch, pos]``.
    """
    first, activation, last = head
    weight, bias = cast("tuple[Tensor, Tensor]", (last.weight, last.bias))
    return (activation(first(states)) * weight[actions]).sum(-1) + bias[actions]


def loss(
    model: ValueModel,
    target: nn.Sequential,
    ids: Tensor,
    mask: Tensor,
    rewards: Tensor,
    gamma: float,
    trace: float = 0.0,
    places: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """The squared error of all taken actions, summed, over the number of tokens (first ones included, as published).

    Args:
        model: body and head.
        target: the slowly following copy of the head; shares the body.
        ids: right-padded token ids ``[batch, pos]``.
        mask: ``[batch, pos]``.
        rewards: ``[batch]``, of the last tokens.
        gamma: discount.
        trace: see ``Training``.
        places: of tokens among the outputs of both heads; by default a token's own.
    """
    with torch.set_grad_enabled(torch.is_grad_enabled() and any(p.requires_grad for p in model.body.parameters())):
        states = model.states(ids, mask)[:, :-1]
    actions, valid = ids[:, 1:], mask[:, 1:].bool()
    actions = actions if places is None else places(actions)
    values = action_values(model.head, states, actions)
    with torch.no_grad():
        following = action_values(target, states, actions).mul_(gamma).clamp_(-1.0, 0.0)
        wanted = torch.cat([following[:, 1:], following[:, :1]], dim=1)
        last = mask.sum(1) - 2
        wanted[torch.arange(len(ids), device=ids.device), last] = rewards.to(wanted.dtype)
        if trace > 0:
            for at in range(wanted.shape[1] - 2, -1, -1):
                later = wanted[:, at].lerp(wanted[:, at + 1] * gamma, trace)
                wanted[:, at] = torch.where(at < last, later, wanted[:, at])
    return ((values - wanted).square() * valid).sum() / mask.sum()


@torch.no_grad()
def follow(target: nn.Sequential, head: nn.Sequential, polyak: float) -> None:
    """Polyak averaging: ``target <- (1 - polyak) target + polyak head``."""
    for theirs, ours in zip(target.parameters(), head.parameters(), strict=True):
        theirs.lerp_(ours, polyak)


def collate(batch: Sequence[Trajectory], device: torch.device | str = "cpu") -> tuple[Tensor, Tensor, Tensor]:
    """Right-padded ids and mask ``[batch, pos]``, rewards ``[batch]``."""
    width = max(len(one.tokens) for one in batch)
    ids = torch.zeros(len(batch), width, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for at, one in enumerate(batch):
        ids[at, : len(one.tokens)] = torch.as_tensor(list(one.tokens))
        mask[at, : len(one.tokens)] = 1
    rewards = torch.tensor([one.reward for one in batch])
    return ids.to(device), mask.to(device), rewards.to(device)


def train(
    model: ValueModel,
    trajectories: Sequence[Trajectory],
    settings: Training,
    folder: Path | None = None,
    checkpoint_steps: int = 500,
) -> float:
    """Train a value model in place; an interrupted training goes on from its checkpoint with the same result.

    What tokens no trajectory has keep their embeddings and the outputs of the head: they are left out of the training.

    Args:
        model: fresh, from ``ValueModel.from_causal_lm``.
        trajectories: in any order.
        settings: epochs, learning rate, discount, Polyak averaging and trace of SARSA(lambda).
        folder: where checkpoints lie; None keeps none.
        checkpoint_steps: a killed training repeats at most so many steps.

    Returns:
        The mean loss of the last epoch's steps.
    """
    places = Places(_tokens(trajectories, model.device), model.head[2].out_features)
    model.body.requires_grad_(not settings.head_only)
    with embedding_rows(model.body.get_input_embeddings(), places), output_rows(model.head[2], places):
        return _train(model, trajectories, settings, folder, checkpoint_steps, places)


def _tokens(trajectories: Sequence[Trajectory], device: torch.device) -> Tensor:
    """All that are read, the one that fills up among them."""
    return torch.tensor(sorted({0, *(token for one in trajectories for token in one.tokens)}), device=device)


def _train(
    model: ValueModel,
    trajectories: Sequence[Trajectory],
    settings: Training,
    folder: Path | None,
    checkpoint_steps: int,
    places: Places,
) -> float:
    """``train`` of a model that has the used rows alone."""
    state = _State(model, settings, folder, places)
    per_epoch = -(-len(trajectories) // settings.batch_size)
    total = per_epoch * settings.epochs
    model.train()
    if settings.head_only:
        model.body.eval()
    with (
        torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []),
        work.bar(total=total, initial=state.step, desc="value model", unit="step") as bar,
    ):
        pace = Pace("value model", total, state.step)
        while state.step < total:
            epoch, at = divmod(state.step, per_epoch)
            # Order and dropout depend on seed and step alone, so that a resumed training is the same training.
            order = np.random.default_rng([settings.seed, epoch]).permutation(len(trajectories))
            torch.manual_seed(settings.seed * 1_000_003 + state.step)
            rows = order[at * settings.batch_size : (at + 1) * settings.batch_size]
            if settings.lr_scheduler_type == "linear":
                state.set_learning_rate(settings.learning_rate * (1 - state.step / total))
            found = state.update(*collate([trajectories[row] for row in rows], model.device))
            pace.update()
            if epoch == settings.epochs - 1:
                state.losses += found
            bar.set_postfix(loss=f"{found:.4f}", refresh=False)
            bar.update()
            if state.step % checkpoint_steps == 0 and state.step < total:
                state.save()
    model.eval()
    return state.losses / per_epoch


class _State:
    """Everything that changes while training: written as one safetensors file, at once."""

    def __init__(self, model: ValueModel, settings: Training, folder: Path | None, places: Places):
        self.model, self.settings, self.places = model, settings, places
        self.path = None if folder is None else folder / CHECKPOINT
        self.target = copy.deepcopy(model.head).requires_grad_(False)
        self.step, self.losses = 0, 0.0
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=0.0)
        if self.path is not None and self.path.is_file():
            self._load(self.path)

    def set_learning_rate(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def update(self, ids: Tensor, mask: Tensor, rewards: Tensor) -> float:
        gamma, trace = self.settings.gamma, self.settings.trace
        error = loss(self.model, self.target, ids, mask, rewards, gamma, trace, self.places)
        self.optimizer.zero_grad(set_to_none=True)
        error.backward()
        self.optimizer.step()
        follow(self.target, self.model.head, self.settings.polyak)
        self.step += 1
        return float(error.detach())

    def save(self) -> None:
        if self.path is None:
            return
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"target.{name}": tensor for name, tensor in self.target.state_dict().items()}
        for number, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": torch.as_tensor(value) for name, value in moments.items()}
        facts = {"step": self.step, "losses": self.losses, **self.settings.recorded()}
        held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        with replacing(self.path) as partial:
            save_file(held, partial, {"state": json.dumps(facts)})

    def _load(self, path: Path) -> None:
        with safe_open(path, "pt") as file:
            facts = parse_json(file.metadata()["state"])
        tensors = load_file(path)
        self.step, self.losses = facts["step"], facts["losses"]
        self.model.load_state_dict(_part(tensors, "model."))
        self.target.load_state_dict(_part(tensors, "target."))
        moments: dict[int, dict[str, Any]] = {}
        for name, tensor in _part(tensors, "optimizer.").items():
            number, _, field = name.partition(".")
            moments.setdefault(int(number), {})[field] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
