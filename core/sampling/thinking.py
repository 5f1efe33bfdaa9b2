"""Models that think before they answer: the length of a continuation is that of its answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

MAX_THINKING = 1024
"""Tokens that a model may think for, unless a run says otherwise."""


@dataclass(frozen=True)
class Thinking:
    """Where thinking ends.

    Args:
        ends: whether the thoughts end with the last of these new tokens; called with the prompt's tokens and all new
            ones, after each of them, until it is True.
        max_tokens: the most tokens thought; a continuation that has not ended its thoughts by then is cut off.
    """

    ends: Callable[[Sequence[int], Sequence[int]], bool]
    max_tokens: int = MAX_THINKING
