"""Why a method prefers a next token: the distributions that it combines, and the stored contexts that it looked up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..core.decoding import continuation
from ..core.errors import DetoxbenchError
from . import base
from .explanation import Explanation, Token
from .lm import DetoxifiedLM

BASE, DETOXIFIED = "base", "detoxified"


class _Watched(base.LogitMethod):
    """A logit method that notes what it sees."""

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
    parts = _parts(model, original, ids.to(model.device), base.Looking(tokenizer, neighbours))
    chosen: dict[int, None] = {}
    for name in sorted(parts.distributions, key=lambda name: name != DETOXIFIED):
        part = parts.distributions[name]
        likeliest = part.topk(min(top, len(part)))
        chosen.update(dict.fromkeys(likeliest.indices[likeliest.values > 0].tolist()))
    shown, steered = {**parts.distributions, **parts.caps}, parts.distributions[DETOXIFIED]
    before = ids[0].tolist()
    tokens = [
        Token(
            id=token,
            text=continuation(tokenizer, before, [token], skip_special_tokens=False),
            p={name: float(part[token]) for name, part in shown.items()},
        )
        for token in sorted(chosen, key=lambda token: -float(steered[token]))
    ]
    name = str(getattr(model, "name_or_path", ""))
    return Explanation(pretrained=name, method=method, prompt=prompt, tokens=tokens, neighbours=parts.neighbours)


def _encode(tokenizer: PreTrainedTokenizerBase, prompt: str) -> Tensor:
    ids = tokenizer(prompt)["input_ids"]
    if not ids:
        first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        if first is None:
            raise DetoxbenchError("the prompt has no tokens, and the tokenizer no token that begins a text")
        ids = [first]
    return torch.tensor([ids])


@torch.no_grad()
def _parts(model: PreTrainedModel, original: PreTrainedModel | None, ids: Tensor, looking: base.Looking) -> base.Parts:
    """On the CPU; the base model's distribution and the method's first."""
    if not isinstance(model, DetoxifiedLM) or model.method is None:
        plain = original or (model.base if isinstance(model, DetoxifiedLM) else model)
        found = {BASE: plain, DETOXIFIED: model}
        return base.Parts(
            {name: one(input_ids=ids).logits[0, -1].float().softmax(-1).cpu() for name, one in found.items()}
        )
    watched = [_Watched(method) for method in model.methods]
    whole = DetoxifiedLM(model.base, watched, activation=model.activations, filtering=model.filtering)
    scores = whole(input_ids=ids, logits_to_keep=1).logits[0, -1]
    found = [method.parts(seen.streams, looking) for method, seen in zip(model.methods, watched, strict=True)]
    distributions, caps, neighbours = (
        _together([getattr(one, of) for one in found]) for of in ("distributions", "caps", "neighbours")
    )
    plain = {BASE: watched[0].base[-1].softmax(-1), DETOXIFIED: scores.softmax(-1)}
    return base.Parts(
        {name: part.cpu() for name, part in {**plain, **distributions}.items()},
        {name: part.cpu() for name, part in caps.items()},
        neighbours,
    )


def _together(several: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What methods say, by name; numbered where two have the same."""
    counts = Counter(name for one in several for name in one)
    return {
        name if counts[name] == 1 else f"{name} {at}": value
        for at, one in enumerate(several, 1)
        for name, value in one.items()
    }
