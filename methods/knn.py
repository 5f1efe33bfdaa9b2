"""Next-token distributions of the nearest neighbours in a datastore (Khandelwal et al. 2020, eq. 2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

LOWEST = -50.0
"""A token whose log-probability is this or less counts as having no neighbour (Pozzobon et al. 2023)."""


class Neighbours(NamedTuple):
    """The k nearest keys of each query.

    Args:
        distances: float32 ``[rows, k]`` squared L2; infinite where an approximate index found fewer than k.
        tokens: int64 ``[rows, k]`` the token that followed each key; 0 where there is none.
        ids: int64 ``[rows, k]`` the keys' row numbers; -1 where there is none.
    """

    distances: Tensor
    tokens: Tensor
    ids: Tensor


def weights(distances: Tensor, temperature: float) -> Tensor:
    """``softmax(-distance / temperature)`` over each row; 0 for missing neighbours, and for a row without any."""
    return (-distances / temperature).softmax(-1).nan_to_num_(0.0)


def probabilities(neighbours: Neighbours, temperature: float, vocab: int) -> Tensor:
    """``p_knn`` ``[rows, vocab]``: the weights of each token's neighbours, summed."""
    share = weights(neighbours.distances, temperature)
    return share.new_zeros(len(share), vocab).scatter_add_(1, neighbours.tokens, share)


def log_ratio_to_floor(neighbours: Neighbours, temperature: float, buffer: Tensor) -> Tensor:
    """``log p_knn(w) - floor`` of each neighbour's token w: only these tokens differ from the row's floor.

    The floor is the smallest ``log p_knn`` above ``LOWEST`` in the same row; tokens at or below ``LOWEST`` get it.

    Args:
        neighbours: ``[rows, k]``.
        temperature: > 0.
        buffer: float32 zeros ``[rows, vocab]``; zeros again afterwards.

    Returns:
        float32 ``[rows, k]``, the same for equal tokens of a row, at least 0; 0 for a row without neighbours.
    """
    share = weights(neighbours.distances, temperature)
    buffer.scatter_add_(1, neighbours.tokens, share)
    log = buffer.gather(1, neighbours.tokens).log_()
    buffer.scatter_(1, neighbours.tokens, 0.0)
    low = log <= LOWEST
    floor = log.masked_fill(low, torch.inf).amin(-1, keepdim=True)
    return (log - floor).masked_fill_(low, 0.0)
