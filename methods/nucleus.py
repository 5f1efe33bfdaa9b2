"""The top-p filter of scores, without sorting the vocabulary (Holtzman et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

SELECT = 2048
"""Tokens looked at first; they hold the nucleus of any peaked distribution."""


def top_p(scores: Tensor, p: float) -> Tensor:
    """Scores outside the nucleus become -inf.

    The nucleus is the smallest set of most probable tokens with at least mass p: a token is in it exactly if the
    tokens more probable than it have mass below p. Equal scores are kept or removed together.

    Args:
        scores: float32 ``[rows, vocab]`` unnormalised log-probabilities.
        p: mass in (0, 1); 0 and 1 filter nothing.

    Returns:
        A new tensor ``[rows, vocab]``.
    """
    if not 0.0 < p < 1.0:
        return scores.clone()
    vocab = scores.shape[-1]
    size = min(vocab, SELECT)
    total = scores.logsumexp(-1, keepdim=True)
    values = scores.topk(size, dim=-1).values
    mass = (values - total).exp_().cumsum_(-1)
    inside = mass < p
    # A token is inside if the mass before it is below p: the first one always, then one more than ``inside``.
    last = inside.sum(-1, keepdim=True).clamp_(max=size - 1)
    threshold = values.gather(-1, last)
    if size < vocab:
        flat = inside[:, -1].nonzero().squeeze(-1)
        if len(flat):
            threshold[flat] = _bisect(scores[flat], total[flat], p)
    return scores.masked_fill(scores < threshold, -torch.inf)


def _bisect(scores: Tensor, total: Tensor, p: float) -> Tensor:
    """The smallest score of each nucleus ``[rows, 1]``, by halving the interval that it lies in down to two
    neighbouring float32 numbers; for rows too flat for the selection."""
    probabilities = (scores - total).exp_()
    finite = scores.masked_fill(scores.isneginf(), torch.inf)
    low = finite.amin(-1, keepdim=True).nextafter(scores.new_tensor(-torch.inf))
    high = scores.amax(-1, keepdim=True)
    while True:
        middle = low + (high - low) / 2
        if bool(((middle <= low) | (middle >= high)).all()):
            return high
        enough = (probabilities * (scores > middle)).sum(-1, keepdim=True) >= p
        low, high = torch.where(enough, middle, low), torch.where(enough, high, middle)
