"""Choosing among whole continuations: which are drawn for a selection method, which it keeps, and what that costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..core.sampling import Request, Sampling
from ..core.sampling.engine import StopRule
from .base import SelectionMethod

Text = Callable[[Sequence[int], Sequence[int]], str]
"""From a prompt's tokens and the new ones to the text of the continuation."""


def to_draw(request: Request, draws: int) -> Request:
    """The request for all that a prompt's samples are chosen among: ``i * draws, …, (i + 1) * draws - 1`` for sample i.

    With one draw a sample it is the request itself, so that the base model's samples are chosen among themselves.
    """
    samples = [sample * draws + draw for sample in request.samples for draw in range(draws)]
    return replace(request, samples=samples)


@dataclass(frozen=True)
class Selected:
    """The continuations that were kept, and what they cost.

    Args:
        tokens: for each request, for each of its samples, the new token ids.
        cost: ``drawn``, ``kept``, ``forward_passes``, ``unscored`` and ``undecided``, as ``ModelRun.selection`` has
            them.
    """

    tokens: list[list[list[int]]]
    cost: dict[str, int]


def select(
    method: SelectionMethod,
    requests: Sequence[Request],
    outputs: Sequence[Sequence[Sequence[int]]],
    text: Text,
    langs: Sequence[str | None],
    passes: int,
) -> Selected:
    """One of each group of continuations.

    Args:
        requests: as they were before ``to_draw``.
        outputs: for each request, all continuations that were drawn, in order.
        text: what is judged.
        langs: ``[requests]`` BCP-47 tags, None where it is not known.
        passes: next-token distributions that drawing them took; see ``forward_passes``.
    """
    draws = method.draws
    groups, prompts, tags = [], [], []
    for request, found, lang in zip(requests, outputs, langs, strict=True):
        for start in range(0, len(found), draws):
            groups.append([text(request.tokens, tokens) for tokens in found[start : start + draws]])
            prompts.append(request.text)
            tags.append(lang)
    chosen = method.choose(groups, prompts, tags)
    kept = iter(chosen.kept)
    tokens = [
        [list(found[start + next(kept)]) for start in range(0, len(found), draws)]
        for found in outputs
    ]  # fmt: skip
    cost = {
        "drawn": sum(map(len, outputs)),
        "kept": len(groups),
        "forward_passes": passes,
        "unscored": chosen.unscored,
        "undecided": chosen.undecided,
    }
    return Selected(tokens, cost)


def forward_passes(
    requests: Sequence[Request],
    outputs: Sequence[Sequence[Sequence[int]]],
    sampling: Sampling,
    should_stop: StopRule | None = None,
    thoughts: int = 0,
) -> int:
    """Next-token distributions that were drawn from: one a token, that which ended a continuation included.

    Args:
        requests: all that was asked for.
        outputs: for each, the new token ids of all continuations.
        sampling: as they were drawn.
        should_stop: what ended them beside end tokens.
        thoughts: tokens that may come before an answer.
    """
    total = 0
    for request, found in zip(requests, outputs, strict=True):
        for tokens in found:
            whole = len(tokens) >= sampling.max_new_tokens + thoughts
            stopped = bool(tokens) and should_stop is not None and should_stop(request.tokens, tokens)
            total += len(tokens) + (0 if whole or stopped else 1)
    return total
