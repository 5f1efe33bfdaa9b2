"""The nucleus of a distribution; the vocabulary is sorted only where it is flat (Holtzman et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...core.sampling.nucleus import SELECT, largest


@dataclass(frozen=True)
class Nucleus:
    """The tokens that may be drawn, and some more; a method's arithmetic is needed for these alone.

    Args:
        scores: float32 ``[rows, n]``; -inf outside the nucleus.
        tokens: int64 ``[rows, n]`` their ids; None where n is the whole vocabulary in order.
        vocab: size of the vocabulary.
    """

    scores: Tensor
    tokens: Tensor | None
    vocab: int

    def of(self, scores: Tensor) -> Tensor:
        """Other scores ``[rows, vocab]`` of the same tokens: float32 ``[rows, n]``."""
        return (scores if self.tokens is None else scores.gather(1, self.tokens)).float()

    def spread(self, scores: Tensor) -> Tensor:
        """Scores ``[rows, n]`` over the vocabulary ``[rows, vocab]``; all other tokens are -inf."""
        if self.tokens is None:
            return scores
        return scores.new_full((len(scores), self.vocab), -torch.inf).scatter_(1, self.tokens, scores)


def nucleus(scores: Tensor, p: float) -> Nucleus:
    """The smallest set of most probable tokens with at least mass p.

    A token is in it exactly if the tokens more probable than it have mass below p. Equal scores are kept or removed
    together.

    Args:
        scores: float32 ``[rows, vocab]`` unnormalised log-probabilities; left alone.
        p: mass in (0, 1); 0 and 1 keep every token.
    """
    vocab = scores.shape[-1]
    if not 0.0 < p < 1.0:
        return Nucleus(scores, None, vocab)
    total = scores.logsumexp(-1, keepdim=True)
    values, tokens = (scores, None) if vocab <= SELECT else largest(scores, SELECT)
    ordered = _descending(values)
    threshold = _threshold(ordered, total, p)
    if tokens is not None and bool((threshold == ordered[:, -1:]).any()):
        # A row too flat for the selection, or one with more tokens of the last score than the selection holds.
        values, tokens = scores, None
        threshold = _threshold(_descending(scores), total, p)
    return Nucleus(torch.where(values < threshold, -torch.inf, values), tokens, vocab)


def top_p(scores: Tensor, p: float) -> Tensor:
    """Scores outside the nucleus become -inf; a new tensor ``[rows, vocab]``."""
    found = nucleus(scores, p)
    return found.spread(found.scores) if found.scores is not scores else scores.clone()


def within(scores: Tensor, z: Tensor, p: float) -> Tensor:
    """Scores of the tokens of the base model's nucleus, -inf for others; where none of a row's is left, the base
    model's own.

    Args:
        scores: a method's, float32 ``[rows, vocab]``.
        z: the base model's, of the same shape.
        p: mass of the nucleus; 0 and 1 keep every token.
    """
    kept = nucleus(z, p)
    mixed = kept.of(scores).masked_fill(kept.scores.isneginf(), -torch.inf)
    lost = mixed.isneginf().all(-1, keepdim=True)
    return kept.spread(torch.where(lost, kept.scores, mixed))


def _threshold(ordered: Tensor, total: Tensor, p: float) -> Tensor:
    """The smallest score of each nucleus ``[rows, 1]``; where its mass is not reached, the last one.

    Args:
        ordered: descending scores ``[rows, n]``.
        total: ``logsumexp`` of all scores of the row ``[rows, 1]``.
    """
    # In double precision, where there is one: tens of thousands of small probabilities are added up.
    dtype = torch.float32 if ordered.device.type == "mps" else torch.float64
    inside = (ordered - total).exp_().cumsum(-1, dtype=dtype) < p
    # The first token is inside, then as many more as have less than p before them.
    return ordered.gather(-1, inside.sum(-1, keepdim=True).clamp_(max=ordered.shape[-1] - 1))


def _descending(scores: Tensor) -> Tensor:
    """Scores in descending order of each row."""
    if scores.device.type != "cpu":
        return scores.sort(-1, descending=True).values
    # numpy sorts with vector instructions, several times faster than torch.
    return torch.from_numpy(np.sort(scores.neg().numpy(), axis=-1)).neg_()
