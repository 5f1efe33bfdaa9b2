"""Stand-ins for published decoding code: what such code does at each step, in the plainest form.

Not the authors' code. Each calls transformers' ``generate`` on 4 prompts at a time with ``num_return_sequences=25``
and changes the scores in a logits processor over the whole vocabulary: the nucleus by a full sort, every sample its own
prefill and search, one value model without a cache that scores every position again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from detoxbench.methods.layers import key_layer
from detoxbench.methods.retrieval.datastore import Datastore

BATCH = 4


def sorted_top_p(scores: Tensor, p: float) -> Tensor:
    """Scores outside the nucleus become -inf, by a sort of the whole vocabulary."""
    ordered, order = scores.sort(descending=True)
    remove = ordered.softmax(-1).cumsum(-1) > p
    remove[:, 1:] = remove[:, :-1].clone()
    remove[:, 0] = False
    return scores.masked_fill(remove.scatter(1, order, remove), -torch.inf)


class Processor(LogitsProcessor):
    """``function(ids, scores)`` as a logits processor."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]):
        self.function = function

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return self.function(input_ids, scores)


@torch.inference_mode()
def run(
    model: Any,
    prompts: Sequence[list[int]],
    samples: int,
    tokens: int,
    step: Callable[[Tensor], Callable[[Tensor, Tensor], Tensor]] | None,
    top_p: float,
) -> int:
    """Tokens generated; ``step`` makes a batch's processor from its attention mask ``[rows, pos]``."""
    total = 0
    for start in range(0, len(prompts), BATCH):
        rows = prompts[start : start + BATCH]
        width = max(map(len, rows))
        ids = torch.tensor([[0] * (width - len(row)) + row for row in rows], device=model.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=model.device)
        processors = [] if step is None else [Processor(step(mask.repeat_interleave(samples, 0)))]
        output = model.generate(
            ids, attention_mask=mask, do_sample=True, top_p=top_p, top_k=0, num_return_sequences=samples,
            max_new_tokens=tokens, min_new_tokens=tokens, pad_token_id=0, eos_token_id=None,
            logits_processor=LogitsProcessorList(processors),
        )  # fmt: skip
        total += output.shape[0] * (output.shape[1] - width)
    return total


def _extended(mask: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """The mask grown to the ids, and position ids."""
    mask = torch.cat([mask, mask.new_ones(len(mask), ids.shape[1] - mask.shape[1])], dim=1)
    return mask, (mask.cumsum(-1) - 1).clamp(min=0)


def dexperts(expert: Any, antiexpert: Any, alpha: float = 2.0, filter_p: float = 0.9) -> Callable:
    """Expert and anti-expert, each with a cache of its own."""

    def start(mask: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        caches: dict[int, Any] = {}

        def step(ids: Tensor, scores: Tensor) -> Tensor:
            grown, positions = _extended(mask, ids)
            found = []
            for at, model in enumerate((expert, antiexpert)):
                past = caches.get(at)
                new = slice(None) if past is None else slice(-1, None)
                output = model(
                    ids[:, new], attention_mask=grown, position_ids=positions[:, new], past_key_values=past,
                    use_cache=True,
                )  # fmt: skip
                caches[at] = output.past_key_values
                found.append(output.logits[:, -1].float())
            return sorted_top_p(scores, filter_p) + alpha * (found[0] - found[1])

        return step

    return start


def goodtriever(
    model: Any, toxic: Datastore, nontoxic: Datastore, k: int, alpha: float = 2.0, filter_p: float = 0.9
) -> Callable:
    """Two searches a row and step, distributions over the whole vocabulary."""

    def log_knn(store: Datastore, queries: Tensor, vocab: int) -> Tensor:
        near = store.search(queries, k)
        share = (-near.distances / 100.0).softmax(-1)
        log = share.new_zeros(len(share), vocab).scatter_add_(1, near.tokens, share).log()
        return torch.where(log > -50, log, log.masked_fill(log <= -50, torch.inf).amin(-1, keepdim=True))

    states: list[Tensor] = []
    layer = model.get_submodule(key_layer(model))
    layer.register_forward_pre_hook(lambda module, inputs: states.__setitem__(slice(None), [inputs[0]]))

    def start(mask: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        def step(ids: Tensor, scores: Tensor) -> Tensor:
            queries = states[0][:, -1]
            steer = log_knn(nontoxic, queries, scores.shape[-1]) - log_knn(toxic, queries, scores.shape[-1])
            return (sorted_top_p(scores.log_softmax(-1), filter_p) + alpha * steer).log_softmax(-1)

        return step

    return start


def rectification(value_model: Any, epsilon: float = 0.1) -> Callable:
    """The value model reads the whole text again at every step, and scores every position of it."""

    def start(mask: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        def step(ids: Tensor, scores: Tensor) -> Tensor:
            grown, positions = _extended(mask, ids)
            q = value_model(ids, attention_mask=grown, position_ids=positions).logits[:, -1].float()
            cap = (1.0 + q - epsilon).clamp(1e-7, 1.0)
            for _ in range(2):
                scores = torch.minimum(scores, cap.log() + scores.logsumexp(-1, keepdim=True))
            return scores

        return step

    return start
