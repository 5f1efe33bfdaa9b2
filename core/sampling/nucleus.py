"""Exact top-p (nucleus) sampling without sorting the vocabulary (Holtzman et al. 2020).

The nucleus is the smallest set of most probable tokens with at least mass p: a token is in it exactly if the tokens
more probable than it have mass below p. A selection of the ``SELECT`` largest scores holds the whole nucleus of any
peaked distribution. For a flat one, the token with the largest perturbed score is drawn from the whole vocabulary and
accepted if it is in the nucleus, else the next one is tried: the first accepted token is the argmax over the nucleus,
so this is the same draw, at the price of 1/p passes on average.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..errors import DetoxbenchError
from .noise import exponential

SELECT = 2048
_CANDIDATES = 8
_PROBE = 256
"""Tokens of a row that tell whether most scores are -inf."""
_BLOCK = 1 << 19
"""Elements of a block of rows whose noise is made at once; intermediate results then stay in the processor's cache."""
_ROWS = 1 << 22
"""Scores that are selected from at once: the selection's copies take five times their memory."""


def draw(scores: Tensor, keys: Tensor, top_p: float = 1.0, temperature: float = 1.0, top_k: int = 0) -> Tensor:
    """Draw one token a row from the top-k, top-p filtered softmax.

    Args:
        scores: ``[distributions, vocab]`` unnormalised log-probabilities; -inf is never drawn. Where several rows
            share a distribution (the samples of one prompt), it is given once. See ``distribution.py``.
        keys: int32 ``[distributions, rows, 2]`` noise keys.
        top_p: mass of the nucleus in (0, 1]; computed from probabilities at ``temperature``, after ``top_k``.
        temperature: > 0.
        top_k: 0 turns it off, and so does one above the vocabulary.

    Returns:
        int64 ``[distributions, rows]`` token ids.
    """
    size = max(1, _ROWS // scores.shape[-1])
    if len(scores) <= size:
        return _draw(scores, keys, top_p, temperature, top_k)
    blocks = [slice(start, start + size) for start in range(0, len(scores), size)]
    return torch.cat([_draw(scores[block], keys[block], top_p, temperature, top_k) for block in blocks])


def _draw(scores: Tensor, keys: Tensor, top_p: float, temperature: float, top_k: int) -> Tensor:
    """``draw`` of a block of distributions."""
    if temperature != 1.0:
        scores = scores / temperature
    if scores.dtype in (torch.float16, torch.bfloat16):
        scores = scores.float()
    vocab = scores.shape[-1]
    size = min(vocab, top_k or SELECT, SELECT) if not top_k else min(vocab, top_k)
    values, tokens = largest(scores, size)
    values, order = values.sort(-1, descending=True)
    tokens = tokens.gather(1, order)
    total = values.logsumexp(-1, keepdim=True) if top_k or size == vocab else scores.logsumexp(-1, keepdim=True)
    mass = (values - total).exp().cumsum(-1)
    before = torch.zeros_like(mass)
    before[:, 1:] = mass[:, :-1]
    # Where a method has cut the nucleus itself, no noise is made for what it removed.
    outside = (before >= top_p) if top_p < 1.0 else values.isneginf()
    # The selection is the whole nucleus if its mass suffices, or if no other token can be drawn.
    complete = (mass[:, -1] >= top_p) | values[:, -1].isneginf() if not top_k and size < vocab else None

    width = max(int((~outside).sum(-1).max()), 1)
    values = values[:, :width].masked_fill(outside[:, :width], -torch.inf)
    tokens = tokens[:, :width]
    chosen = _argmax(values, tokens, keys)
    if complete is not None and not bool(complete.all()):
        flat = (~complete).nonzero().squeeze(-1)
        for row in flat.tolist():
            chosen[row] = _draw_flat(scores[row], float(total[row]), keys[row], top_p)
    return chosen


def largest(scores: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The ``size`` largest scores of each row, in any order, and their tokens: ``[rows, size]`` both."""
    # numpy selects with vector instructions, several times faster than torch; but where a method has cut the nucleus,
    # nearly all scores are equal, which slows its selection down tenfold and makes torch's cheap.
    if scores.device.type != "cpu" or scores[:, :_PROBE].isneginf().float().mean() > 0.5:
        return scores.topk(size, dim=-1, sorted=False)
    order = np.argpartition(scores.numpy(), scores.shape[-1] - size, axis=-1)
    tokens = torch.from_numpy(order[:, -size:].copy())
    return scores.gather(1, tokens), tokens


def _argmax(values: Tensor, tokens: Tensor, keys: Tensor) -> Tensor:
    """Token of the largest perturbed score: ``[distributions, n]`` and ``[distributions, rows, 2]`` to
    ``[distributions, rows]``."""
    distributions, rows = keys.shape[:2]
    chosen = torch.empty(distributions, rows, dtype=torch.int64, device=values.device)
    width = values.shape[-1]
    step = max(1, _BLOCK // (width * rows))
    for start in range(0, distributions, step):
        block = slice(start, start + step)
        count = len(values[block])
        ids = tokens[block].unsqueeze(1).expand(count, rows, width).reshape(count * rows, width)
        noise = exponential(keys[block].reshape(-1, 2), ids).log_().view(count, rows, width)
        best = (values[block].unsqueeze(1) - noise).argmax(-1)
        chosen[block] = tokens[block].gather(1, best)
    return chosen


def _draw_flat(scores: Tensor, total: float, keys: Tensor, top_p: float) -> Tensor:
    """The same draw from one distribution ``[vocab]`` whose nucleus is wider than the selection: ``[rows]``."""
    vocab = scores.shape[-1]
    everything = torch.arange(vocab, device=scores.device)
    probabilities = (scores - total).exp()
    chosen = torch.empty(len(keys), dtype=torch.int64, device=scores.device)
    step = max(1, _BLOCK // vocab)
    for start in range(0, len(keys), step):
        perturbed = scores - exponential(keys[start : start + step], everything).log_()
        order = perturbed.topk(min(_CANDIDATES, vocab), dim=-1).indices
        for row, candidates in enumerate(order):
            chosen[start + row] = _first_inside(candidates, perturbed[row], scores, probabilities, top_p)
    return chosen


def _first_inside(candidates: Tensor, perturbed: Tensor, scores: Tensor, probabilities: Tensor, top_p: float) -> Tensor:
    """The first candidate in the nucleus, else the first of all tokens in order of their perturbed scores."""
    for tokens in (candidates, perturbed.argsort(descending=True)):
        for token in tokens:
            if float((probabilities * (scores > scores[token])).sum()) < top_p:
                return token
    raise DetoxbenchError("scores that are no distribution: NaN, or infinite")  # the likeliest token is always inside
