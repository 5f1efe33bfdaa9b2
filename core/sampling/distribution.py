"""Scores that nothing can be drawn from, and what to say of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ..errors import DetoxbenchError


def no_distribution(scores: Tensor) -> Tensor:
    """Rows that nothing can be drawn from: some score is NaN or +inf, or all are -inf. bool ``[rows]``.

    Args:
        scores: ``[rows, vocab]``.
    """
    return ~scores.amax(-1).isfinite()  # the maximum of a row that holds NaN is NaN


def refused(
    model: Any, scores: Tensor, step: int, text: str, tokens: Sequence[int], settings: str = ""
) -> DetoxbenchError:
    """The error for a row of ``no_distribution``.

    Args:
        model: that gave them, or its name.
        scores: ``[vocab]`` of that row.
        step: how many new tokens there are already.
        text: of the prompt; empty for an empty one.
        tokens: of the prompt.
        settings: that changed the scores before they were seen, in words.
    """
    what = "NaN" if scores.isnan().any() else "an infinite score" if (scores > 0).any() else "no token"
    shown = repr(text[:40]) if text else f"of tokens {list(tokens[:8])}"
    name = model if isinstance(model, str) else getattr(getattr(model, "config", None), "name_or_path", "")
    name = name or type(model).__name__
    under = f" under {settings}" if settings else ""
    return DetoxbenchError(
        f"model '{name}' gives no distribution to draw from ({what}){under} at new token {step + 1} of the prompt "
        f"{shown}: its weights or artifacts may be damaged, or its precision too low (dtype=float32)"
        + (", or these settings leave it no token" if settings else "")
    )
