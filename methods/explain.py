"""Why a method prefers a next token: the distributions that it combines, and the stored contexts that it looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pydantic
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..core.decoding import continuation, decode
from ..core.errors import DetoxbenchError
from . import base
from .lm import DetoxifiedLM
from .rectification.method import P_MIN
from .rectification.value_model import ValueModel
from .retrieval.datastore import Datastore
from .retrieval.knn import probabilities, weights

CONTEXT_TOKENS = 24
"""Of a stored context; it ends earlier where its text begins."""
BASE, DETOXIFIED, CAP = "base", "detoxified", "cap"


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


class _Watched:
    """A logit method that notes what it sees."""

    kind = "logit"

    def __init__(self, method: base.LogitMethod):
        self.method = method
        self.truncates, self.key_layer, self.auxiliaries = method.truncates, method.key_layer, method.auxiliaries

    def scores(self, base: Tensor, streams: base.Streams, filtering: bool) -> Tensor:
        self.base, self.streams = base.clone(), streams
        return self.method.scores(base, streams, filtering)


def explain(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    *,
    method: str = "",
    original: PreTrainedModel | None = None,
    top: int = 10,
    neighbours: int = 5,
) -> Explanation:
    """The distributions of the next token.

    Args:
        model: from ``load_detoxified``.
        tokenizer: the base model's.
        prompt: any text; an empty one stands for the beginning of a text.
        method: its name, for the record.
        original: the base model, where the method changed its weights.
        top: tokens of each distribution.
        neighbours: contexts of each datastore.

    Raises:
        DetoxbenchError: for a prompt of no tokens where the tokenizer has no token that begins a text.
    """
    for name, value in (("top", top), ("neighbours", neighbours)):
        if value < 1:
            raise DetoxbenchError(f"{name}={value}: it must be at least 1")
    ids = _encode(tokenizer, prompt)
    parts, stores = _parts(model, original, ids.to(model.device), neighbours, tokenizer)
    chosen: dict[int, None] = {}
    for name in sorted(parts, key=lambda name: name != DETOXIFIED):
        if name != CAP:
            likeliest = parts[name].topk(min(top, len(parts[name])))
            chosen.update(dict.fromkeys(likeliest.indices[likeliest.values > 0].tolist()))
    before = ids[0].tolist()
    tokens = [
        Token(
            id=token,
            text=_after(tokenizer, before, token),
            p={name: float(part[token]) for name, part in parts.items()},
        )
        for token in sorted(chosen, key=lambda token: -float(parts[DETOXIFIED][token]))
    ]
    name = str(getattr(model, "name_or_path", ""))
    return Explanation(pretrained=name, method=method, prompt=prompt, tokens=tokens, neighbours=stores)


def _encode(tokenizer: PreTrainedTokenizerBase, prompt: str) -> Tensor:
    ids = tokenizer(prompt)["input_ids"]
    if not ids:
        first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        if first is None:
            raise DetoxbenchError("the prompt has no tokens, and the tokenizer no token that begins a text")
        ids = [first]
    return torch.tensor([ids])


@torch.no_grad()
def _parts(
    model: PreTrainedModel, original: PreTrainedModel | None, ids: Tensor, neighbours: int, tokenizer: Any
) -> tuple[dict[str, Tensor], dict[str, list[Neighbour]]]:
    """Name -> float32 ``[vocab]`` on the CPU, and the neighbours."""
    if not isinstance(model, DetoxifiedLM) or model.method is None:
        plain = original or (model.base if isinstance(model, DetoxifiedLM) else model)
        found = {BASE: plain, DETOXIFIED: model}
        return {name: one(input_ids=ids).logits[0, -1].float().softmax(-1).cpu() for name, one in found.items()}, {}
    watched = _Watched(model.method)
    scores = DetoxifiedLM(model.base, watched, filtering=model.filtering)(input_ids=ids, logits_to_keep=1).logits[0, -1]
    parts = {BASE: watched.base[-1].softmax(-1), DETOXIFIED: scores.softmax(-1)}
    for name, output in watched.streams.outputs.items():
        parts |= _auxiliary(name, output[-1].float(), model.method)
    stores: dict[str, list[Neighbour]] = {}
    hidden: Any = watched.streams.hidden
    for name, store in _datastores(model.method).items():
        arguments: Any = model.method.arguments
        near = store.search(hidden[-1:], arguments.k)
        parts[name] = probabilities(near, arguments.temperature, len(scores))[0]
        share = weights(near.distances, arguments.temperature)[0].tolist()
        stores[name] = [
            Neighbour(
                context=context(store, row, tokenizer), distance=distance, weight=weight, row=row,
                token=_after(tokenizer, _stored(store, row, tokenizer), token),
            )
            for row, token, distance, weight in sorted(
                zip(near.ids[0].tolist(), near.tokens[0].tolist(), near.distances[0].tolist(), share, strict=True),
                key=lambda one: one[2],
            )[:neighbours]
            if row >= 0
        ]  # fmt: skip
    return {name: part.cpu() for name, part in parts.items()}, stores


def _auxiliary(name: str, output: Tensor, method: Any) -> dict[str, Tensor]:
    """An auxiliary model's distribution; a value model's caps."""
    if isinstance(method.auxiliaries[name].model, ValueModel):
        return {CAP: (1.0 + output - method.epsilon).clamp(P_MIN, 1.0)}
    return {name: output.softmax(-1)}


def _datastores(method: Any) -> dict[str, Datastore]:
    several = getattr(method, "datastores", None)
    one = getattr(method, "datastore", None)
    return dict(several) if several else {"datastore": one} if isinstance(one, Datastore) else {}


def _after(tokenizer: PreTrainedTokenizerBase, before: Sequence[int], token: int) -> str:
    """A token's text where it follows others; special tokens are shown."""
    return continuation(tokenizer, before, [token], skip_special_tokens=False)


def _stored(store: Datastore, row: int, tokenizer: PreTrainedTokenizerBase, length: int = CONTEXT_TOKENS) -> list[int]:
    """The tokens before a stored one, of the same text: a datastore keeps its texts' order.

    The key of row i was read after the tokens ``…, values[i-2], values[i-1]`` of the same text, which ends at an end
    token.
    """
    before = np.asarray(store.values[max(0, row - length) : row]).tolist()
    if tokenizer.eos_token_id in before:
        before = before[len(before) - before[::-1].index(tokenizer.eos_token_id) :]
    return before


def context(store: Datastore, row: int, tokenizer: PreTrainedTokenizerBase, length: int = CONTEXT_TOKENS) -> str:
    """The text before a stored token."""
    return f"…{decode(tokenizer, _stored(store, row, tokenizer, length), skip_special_tokens=False)}"
