"""How many sequences of a model fit into a batch: bounded by positions, and by the bytes of caches and scores.

The bounds are constants, not what the machine has free: batches, of which texts in low precision depend, are then those
of every other run with the same settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from ..transformers_private import accepted

TOKENS = {"cpu": 16_384, "cuda": 131_072}
"""Sequences x positions."""
CACHE_BYTES = {"cpu": 1 << 31, "cuda": 1 << 36}
"""Of keys and values."""
SCORE_BYTES = {"cpu": 1 << 27, "cuda": 1 << 32}
"""Of the scores of a step, of all models that run side by side: with a vocabulary of 262,144 tokens they are larger
than the caches of a small model."""
SCORE = 4
"""Bytes: scores are made in the model's precision and sampled from in float32."""


@dataclass(frozen=True)
class Room:
    """What fits into a batch.

    Args:
        tokens: sequences x positions.
        rows: sequences that scores are made of in a step.
        prefilled: prompts x positions that scores are made of at the start: one position of each prompt where the model
            can be told so, else all.
        keeps: whether it can.
    """

    tokens: int
    rows: int
    prefilled: int
    keeps: bool

    @classmethod
    def of(cls, model: Any, tokens: int | None = None) -> Room:
        """
        Args:
            model: detoxified or not.
            tokens: the user's bound; by default by device.
        """
        kind = "cpu" if model.device.type == "cpu" else "cuda"
        inner = list(_models(model))
        position = sum(map(cache_bytes, inner))
        fitting = min(tokens or TOKENS[kind], CACHE_BYTES[kind] // position if position else TOKENS[kind])
        scores = max(1, SCORE_BYTES[kind] // max(1, sum(_vocabulary(one) for one in inner) * SCORE))
        keeps = all("logits_to_keep" in accepted(one) for one in inner)
        return cls(max(1, fitting), scores, scores, keeps)

    def most(self, length: int, new: int) -> int:
        """Sequences of a prompt of so many tokens, to be continued by so many; at least 1."""
        return max(1, min(self.tokens // (length + new), self.rows))

    def prompts(self, length: int) -> int:
        """Prompts of so many tokens that are read at once; at least 1."""
        return max(1, self.prefilled // (1 if self.keeps else length))


def scored_rows(model: Any, length: int) -> int:
    """Sequences of so many tokens whose scores at every position are held at once, as log-probabilities beside; at
    least 1."""
    kind = "cpu" if model.device.type == "cpu" else "cuda"
    scores = max(1, sum(map(_vocabulary, _models(model)))) * max(1, length)
    return max(1, 2 * SCORE_BYTES[kind] // (2 * SCORE * scores))


def _models(model: Any) -> Iterator[Any]:
    """A detoxified model's models, or the model itself."""
    streams = getattr(model, "streams", None)
    return (stream.model for stream in streams.values()) if streams else iter([model])


def _vocabulary(model: Any) -> int:
    config = getattr(model, "config", None)
    return 0 if config is None else getattr(config.get_text_config(), "vocab_size", 0) or 0


def cache_bytes(model: Any) -> int:
    """Of the keys and values of one position of one sequence, at most; 0 where the configuration does not say."""
    config = getattr(model, "config", None)
    if config is None:
        return 0
    text = config.get_text_config()

    def of(name: str) -> Any:
        try:
            return getattr(text, name, None)
        except RuntimeError:  # transformers': layers of one model may differ in it
            return None

    layers, heads = of("num_hidden_layers"), of("num_attention_heads")
    if not isinstance(layers, int) or not isinstance(heads, int) or not heads:
        return 0
    kept = of("num_key_value_heads")
    dim = of("head_dim") or (of("hidden_size") or 0) // heads
    # Anything else than a number is a list with one for each layer, of which the sum is not worth knowing.
    if not isinstance(dim, int):
        return 0
    if isinstance(kept, int) and kept:
        heads = kept
    return 2 * layers * heads * dim * getattr(model, "dtype", torch.float32).itemsize
