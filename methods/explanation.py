"""An explanation of a next token as it is printed and as JSON: tokens, probabilities, stored contexts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import pydantic


class Record(pydantic.BaseModel):
    """Frozen; an unknown field is an error."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Token(Record):
    """A possible next token.

    Args:
        id, text: which.
        p: probability by distribution's name; ``cap`` is no distribution, but the highest share that a value model
            leaves a token.
    """

    id: int
    text: str
    p: Mapping[str, float]


class Neighbour(Record):
    """A stored context near the prompt.

    Args:
        context: what was read before, decoded; the first token of a text is not stored, and "…" stands for it.
        token: what followed.
        distance: squared L2.
        weight: share in the datastore's distribution.
        row: of the datastore.
    """

    context: str
    token: str
    distance: float
    weight: float
    row: int


class Explanation(Record):
    """The next token after a prompt.

    Args:
        pretrained, method, prompt: what was explained.
        tokens: the likeliest of every distribution, the likeliest under the method first.
        neighbours: datastore's name -> nearest contexts, nearest first.
    """

    schema_version: int = 1
    pretrained: str
    method: str
    prompt: str
    tokens: Sequence[Token]
    neighbours: Mapping[str, Sequence[Neighbour]] = MappingProxyType({})
