"""The loss of causal LMs over a large vocabulary: block by block of positions, so that scores are never held whole.

``[rows, pos, vocab]`` in float32 is 1 GB for 8 x 128 positions and 262,144 tokens, and plain training holds it several
times. Here the body runs first, then the head on some positions at a time, and again for their gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from . import in_blocks, used_rows

IGNORED = -100
BLOCK = 1 << 24
"""Scores ``[positions, vocab]`` that are held at once: 64 MiB in float32, of which a few copies are made."""
Head = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Scores:
    """A head: from last hidden states to scores.

    Args:
        output: the output embeddings, a linear layer.
        rest: what is done to each score alone.
    """

    output: Any
    rest: Head

    def __call__(self, states: Tensor) -> Tensor:
        return self.rest(self.output(states))


def body_and_head(model: Any) -> tuple[nn.Module, Head] | None:
    """The part that gives last hidden states, and the function from these to scores; None where a model's scores are
    not made so. Whether they are is tried on a few tokens, not assumed.

    Args:
        model: a causal LM, or peft's around one.
    """
    found = body_output_and_rest(model)
    if found is None:
        return None
    body, output, rest = found
    return body, Scores(output, rest)


def body_output_and_rest(model: Any) -> tuple[nn.Module, Any, Head] | None:
    """``body_and_head`` with the head in two: a linear layer, and what is done to each of its outputs alone (a cap, a
    scale, or nothing)."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    output = inner.get_output_embeddings() if isinstance(inner, PreTrainedModel) else None
    if output is None or inner.base_model is inner:
        return None
    config = inner.config.get_text_config()
    cap, scale = getattr(config, "final_logit_softcapping", None), getattr(config, "logit_scale", None)
    divisor = getattr(config, "logits_scaling", None)
    candidates: list[Head] = [lambda scores: scores]
    if cap:
        candidates.append(lambda scores: torch.tanh(scores / cap) * cap)
    if isinstance(scale, (int, float)):
        candidates.append(lambda scores: scores * scale)
    if isinstance(divisor, (int, float)) and divisor:
        candidates.append(lambda scores: scores / divisor)
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            ids = torch.arange(3, device=inner.device).clamp_(max=config.vocab_size - 1)[None]
            wanted = inner(input_ids=ids, use_cache=False).logits
            states = inner.base_model(input_ids=ids, use_cache=False).last_hidden_state
            for candidate in candidates:
                made = candidate(output(states))
                if made.shape == wanted.shape and torch.allclose(made.float(), wanted.float(), rtol=1e-4, atol=1e-5):
                    return inner.base_model, output, candidate
    except (AttributeError, TypeError, ValueError, RuntimeError, KeyError, IndexError):
        return None  # an architecture that wants more than token ids, or gives something else
    finally:
        model.train(training)
    return None


def token_losses(head: Head, states: Tensor, labels: Tensor, vocab: int) -> Tensor:
    """The negative log-likelihood in nats of each label, block by block: float32 ``[tokens]``.

    Args:
        head: see ``body_and_head``.
        states: ``[tokens, dim]`` last hidden states before each label.
        labels: token ids ``[tokens]``.
        vocab: size of the vocabulary, that the size of a block follows from.
    """

    size = max(1, BLOCK // vocab)
    if torch.is_grad_enabled() and isinstance(head, Scores) and in_blocks.possible(head.output, states):
        return in_blocks.losses(head.output, head.rest, states, labels, size)

    def block(states: Tensor, labels: Tensor) -> Tensor:
        return in_blocks.cross_entropy(head(states), labels)

    parts = []
    for start in range(0, len(states), size):
        some = states[start : start + size], labels[start : start + size]
        # Kept scores would add up to what is avoided: they are made again for the gradient.
        parts.append(checkpoint(block, *some, use_reentrant=False) if torch.is_grad_enabled() else block(*some))
    return torch.cat(parts) if parts else states.new_zeros(0, dtype=torch.float32)


def total_loss(parts: tuple[nn.Module, Head], batch: Mapping[str, Tensor], vocab: int) -> tuple[Tensor, Tensor]:
    """The negative log-likelihood in nats of all labelled tokens but each row's first, summed, and their number.

    Args:
        parts: see ``body_and_head``.
        batch: right-padded ``input_ids``, ``attention_mask`` and ``labels`` ``[rows, pos]``.
        vocab: size of the vocabulary, that the size of a block follows from.
    """
    body, head = parts
    given = {"attention_mask": batch["attention_mask"], "use_cache": False}
    states = used_rows.called(body, batch["input_ids"], given)[0]
    labels = batch["labels"][:, 1:]
    wanted = labels != IGNORED
    return token_losses(head, states[:, :-1][wanted], labels[wanted], vocab).sum(), wanted.sum()


@torch.inference_mode()
def mean_loss(model: PreTrainedModel, rows: list[list[int]], collate: Callable[..., Any], batch_size: int) -> float:
    """The negative log-likelihood in nats a token, over all tokens but each row's first.

    Args:
        rows: token ids.
        collate: makes a batch of some.
        batch_size: rows of a forward pass.
    """
    parts, vocab = body_and_head(model), model.config.get_text_config().vocab_size
    total, count = 0.0, 0
    ordered = sorted(rows, key=len)
    for start in range(0, len(ordered), batch_size):
        batch = {name: tensor.to(model.device) for name, tensor in collate(ordered[start : start + batch_size]).items()}
        if parts is not None:
            found, tokens = total_loss(parts, batch, vocab)
        else:
            labels = batch.pop("labels")[:, 1:]
            scores = model(**batch, use_cache=False).logits[:, :-1]
            found = nn.functional.cross_entropy(
                scores.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum"
            )
            tokens = (labels != IGNORED).sum()
        total, count = total + float(found), count + int(tokens)
    return total / count
