"""Whether a tokenizer is a model's own."""

from __future__ import annotations

from typing import Any

LEAST_SHARE = 0.5
"""Of the model's rows of embeddings that its tokenizer must know: rows are padded, but not by as much."""

MOST_SHARE = 1.01
"""At most; some tokenizers (Gemma 3's) know a few special tokens that the text model has no rows for."""


def misfit(tokenizer: Any, model: Any) -> str | None:
    """Why a tokenizer cannot be the model's, in words; None if it can.

    For a folder without a tokenizer's files transformers makes one up, of a handful of special tokens, and every text
    is the same to it.

    Args:
        tokenizer: of transformers.
        model: with input embeddings ``[rows, dim]``.
    """
    return other_size(tokenizer, model.get_input_embeddings().weight.shape[0])


def other_size(tokenizer: Any, rows: int) -> str | None:
    """As ``misfit``, of a model that is not loaded.

    Args:
        tokenizer: of transformers.
        rows: of the model's input embeddings.
    """
    known = max(tokenizer.get_vocab().values(), default=0) + 1
    if LEAST_SHARE * rows <= known <= MOST_SHARE * rows:
        return None
    return f"the tokenizer knows {known:,} tokens and the model {rows:,}: it is another model's, or none"


def other_ids(tokenizer: Any, own: Any) -> str | None:
    """Why a tokenizer cannot stand for another one, in words: most tokens that both know have other ids in it, or they
    hardly know the same. None if it can; a few tokens more, or renamed, are no matter.

    Args:
        tokenizer: that somebody chose.
        own: the model's own.
    """
    chosen, right = tokenizer.get_vocab(), own.get_vocab()
    alike = sum(right.get(token) == number for token, number in chosen.items())
    least = min(len(chosen), len(right))
    if alike >= LEAST_SHARE * least:
        return None
    return f"only {alike:,} of its {len(chosen):,} tokens have the id that the model's own tokenizer gives them"
