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
    rows, known = model.get_input_embeddings().weight.shape[0], max(tokenizer.get_vocab().values(), default=0) + 1
    if LEAST_SHARE * rows <= known <= MOST_SHARE * rows:
        return None
    return f"the tokenizer knows {known:,} tokens and the model {rows:,}: it is another model's, or none"
