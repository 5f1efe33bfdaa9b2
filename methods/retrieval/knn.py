"""Next-token distributions of the nearest neighbours in a datastore (Khandelwal et al. 2020, eq. 2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LOWEST = -50.0
"""A token whose log-probability is this or less counts as having no neighbour (Pozzobon et al. 2023)."""


@dataclass(frozen=True)
class Neighbours:
    """The k nearest keys of each query.

    Args:
        distances: float32 ``[rows, k]`` squared L2; infinite where an approximate index found fewer than k.
        tokens: int64 ``[rows, k]`` the token that followed each key; 0 where there is none.
        ids: int64 ``[rows, k]`` the keys' row numbers; -1 where there is none.
    """

    distances: Tensor
    tokens: Tensor
    ids: Tensor

    def __getitem__(self, rows: slice) -> Neighbours:
        """Those of some queries."""
        return Neighbours(self.distances[rows], self.tokens[rows], self.ids[rows])


def weights(distances: Tensor, temperature: float) -> Tensor:
    """``softmax(-distance / temperature)`` over each row; 0 for missing neighbours, and for a row without any."""
    return (-distances / temperature).softmax(-1).nan_to_num_(0.0)


def probabilities(neighbours: Neighbours, temperature: float, vocab: int) -> Tensor:
    """``p_knn`` ``[rows, vocab]``: the weights of each token's neighbours, summed."""
    share = weights(neighbours.distances, temperature)
    return share.new_zeros(len(share), vocab).scatter_add_(1, neighbours.tokens, share)


def log_probabilities(neighbours: Neighbours, temperature: float, vocab: int, wanted: Tensor | None) -> Tensor:
    """``log p_knn``, with a floor: the smallest one above ``LOWEST`` in the same row, for every token that is not.

    Only the tokens of neighbours differ from the floor, so logarithms are taken of these alone.

    Args:
        neighbours: of each row.
        temperature: > 0.
        vocab: size of the vocabulary.
        wanted: tokens ``[rows, n]``; None for the whole vocabulary in order.

    Returns:
        float32 ``[rows, n]``; 0 throughout a row without neighbours.
    """
    p = probabilities(neighbours, temperature, vocab)
    near = p.gather(1, neighbours.tokens).log_()
    floor = near.masked_fill_(near <= LOWEST, torch.inf).amin(-1, keepdim=True)
    floor.masked_fill_(floor.isinf(), 0.0)
    if wanted is not None:
        log = p.gather(1, wanted).log_()
        return torch.where(log <= LOWEST, floor, log)
    # Equal tokens of a row have equal values, so whichever of them is written last is right.
    return p.copy_(floor.expand_as(p)).scatter_(1, neighbours.tokens, torch.where(near.isinf(), floor, near))
