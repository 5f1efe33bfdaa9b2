"""Losses over a large vocabulary whose gradients go straight into the head's.

Autograd would make a gradient of the whole matrix for each block of positions, and another one to add them up: of
262,144 tokens and 640 dimensions each has 671 MB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Rest = Callable[[Tensor], Tensor]


def possible(output: Any, states: Tensor) -> bool:
    """Whether gradients may be added in place: of a plain linear layer on a processor, in the states' own precision. On
    a GPU products in mixed precision are worth more than the memory."""
    plain = type(output) is nn.Linear and not output._forward_hooks and not output._forward_pre_hooks
    return plain and states.device.type == "cpu" and output.weight.dtype == states.dtype and states.requires_grad


def losses(output: nn.Linear, rest: Rest, states: Tensor, labels: Tensor, size: int) -> Tensor:
    """The negative log-likelihood in nats of each label: float32 ``[tokens]``.

    Args:
        output: the head.
        rest: what is done to each of its scores alone.
        states: ``[tokens, dim]``.
        labels: token ids ``[tokens]``.
        size: positions of a block.
    """
    return _Losses.apply(states, labels, output, rest, size)  # type: ignore[no-any-return]


def cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(scores.float(), labels.to(scores.device), reduction="none")


def gradient(parameter: nn.Parameter) -> Tensor:
    """Where gradients of a parameter are added up."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


class _Losses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, labels: Tensor, output: nn.Linear, rest: Rest, size: int) -> Tensor:
        ctx.save_for_backward(states, labels)
        ctx.output, ctx.rest, ctx.size = output, rest, size
        parts = [
            cross_entropy(rest(nn.functional.linear(some, output.weight, output.bias)), wanted)
            for some, wanted in zip(states.split(size), labels.split(size), strict=True)
        ]
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> Any:
        states, labels = ctx.saved_tensors
        output, found = ctx.output, torch.empty_like(states)
        weight, bias = output.weight, output.bias
        for start in range(0, len(states), ctx.size):
            block = slice(start, start + ctx.size)
            with torch.enable_grad():
                scores = nn.functional.linear(states[block], weight, bias).detach().requires_grad_()
                loss = cross_entropy(ctx.rest(scores), labels[block])
            (change,) = torch.autograd.grad(loss, scores, given[0][block])
            found[block] = change @ weight
            if weight.requires_grad:
                gradient(weight).addmm_(change.T, states[block])
            if bias is not None and bias.requires_grad:
                gradient(bias).add_(change.sum(0))
        return found, None, None, None, None
