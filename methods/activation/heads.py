"""Slices of hidden states, one a head."""

from __future__ import annotations

from torch import Tensor

from ...core.errors import DetoxbenchError

SMALLEST = 1e-12
"""Below it a norm counts as this much: states of padding may be zero."""


def split(states: Tensor, heads: int) -> Tensor:
    """``[..., heads * dim]`` to ``[..., heads, dim]``."""
    return states.unflatten(-1, (heads, -1))


def divided(width: int, heads: int, what: str) -> int:
    """Length of a slice.

    Raises:
        DetoxbenchError: where the heads do not divide the width.
    """
    if width % heads:
        raise DetoxbenchError(f"{what} is {width} long, which {heads} heads do not divide")
    return width // heads


def norm(states: Tensor, dims: int | tuple[int, ...] = -1) -> Tensor:
    """Lengths, kept as dimensions of 1, never 0."""
    return states.norm(dim=dims, keepdim=True).clamp_min(SMALLEST)
