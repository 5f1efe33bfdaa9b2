"""The stored contexts that a token's distribution came from: what a datastore was asked, and what it found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from ...core.decoding import continuation, decode
from ..base import Looking, Parts, Streams
from ..explanation import Neighbour
from .datastore import Datastore
from .knn import probabilities, weights

CONTEXT_TOKENS = 24
"""Of a stored context; it ends earlier where its text begins."""


def looked_up(stores: Mapping[str, Datastore], streams: Streams, vocab: int, arguments: Any, looking: Looking) -> Parts:
    """The distribution of each datastore's neighbours at one position, and the nearest of them.

    Args:
        streams: of one row, with the key.
        vocab: tokens that the base model scores.
        arguments: the method's, with ``k`` and ``temperature``.
    """
    hidden: Any = streams.hidden
    k, temperature = arguments.k, arguments.temperature
    distributions, contexts = {}, {}
    for name, store in stores.items():
        near = store.search(hidden[-1:], k)
        distributions[name] = probabilities(near, temperature, vocab)[0]
        share = weights(near.distances, temperature)[0].tolist()
        found = zip(near.ids[0].tolist(), near.tokens[0].tolist(), near.distances[0].tolist(), share, strict=True)
        contexts[name] = [
            Neighbour(
                context=context(store, row, looking.tokenizer),
                token=_after(store, row, looking.tokenizer, token),
                distance=distance, weight=weight, row=row,
            )
            for row, token, distance, weight in sorted(found, key=lambda one: one[2])[: looking.neighbours]
            if row >= 0
        ]  # fmt: skip
    return Parts(distributions, neighbours=contexts)


def context(store: Datastore, row: int, tokenizer: PreTrainedTokenizerBase, length: int = CONTEXT_TOKENS) -> str:
    """The text before a stored token."""
    return f"…{decode(tokenizer, _before(store, row, tokenizer, length), skip_special_tokens=False)}"


def _before(store: Datastore, row: int, tokenizer: PreTrainedTokenizerBase, length: int = CONTEXT_TOKENS) -> list[int]:
    """The tokens before a stored one, of the same text: a datastore keeps its texts' order.

    The key of row i was read after the tokens ``…, values[i-2], values[i-1]`` of the same text, which ends at an end
    token.
    """
    before = np.asarray(store.values[max(0, row - length) : row]).tolist()
    if tokenizer.eos_token_id in before:
        before = before[len(before) - before[::-1].index(tokenizer.eos_token_id) :]
    return before


def _after(store: Datastore, row: int, tokenizer: PreTrainedTokenizerBase, token: int) -> str:
    """A stored token's text where it follows its context; special tokens are shown."""
    return continuation(tokenizer, _before(store, row, tokenizer), [token], skip_special_tokens=False)
