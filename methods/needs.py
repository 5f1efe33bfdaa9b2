"""What a fit will take of memory, disk and time, as far as its model's size, its texts and its settings tell."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from ..core.mini import model_folder
from .loading import LOAD_ERRORS

FLOAT = 4
"""Bytes of a float32 number, in which weights are trained."""
STATE = 3
"""Gradient and two moments of AdamW: so many numbers beside each trained one."""
STATES = 24
"""Numbers that a training pass keeps for its gradients, of each token, layer and dimension of the hidden states; as
measured with Gemma 3 of 270 million weights."""
FORWARD, BACKWARD = 2, 4
"""Operations of a number of a model's matrices and a token."""
BYTES_A_TOKEN = 4.0
"""Of text, where no tokenizer says."""
BYTES_A_TEXT = 128
"""Where nobody has counted."""
SAMPLED = 64
"""Texts of each side that a tokenizer is asked about."""


@dataclass(frozen=True)
class Size:
    """Of a base model, known from its configuration.

    Args:
        parameters: of all; shared ones count once.
        vocab: tokens.
        dim: of its hidden states.
        itemsize: bytes of a number in its checkpoint.
        layers: blocks.
        bytes_a_token: of the texts at hand.
    """

    parameters: int
    vocab: int
    dim: int
    itemsize: int
    layers: int = 1
    bytes_a_token: float = BYTES_A_TOKEN

    @classmethod
    def of(cls, pretrained: str, revision: str | None = None, texts: Mapping[str, Any] | None = None) -> Size | None:
        """None where the configuration cannot be read or built: whatever loads the model says why."""
        with contextlib.suppress(*LOAD_ERRORS, TypeError, AttributeError):
            options = {"revision": revision} if revision else {}
            config = AutoConfig.from_pretrained(model_folder(pretrained), **options)
            with torch.device("meta"):
                model = AutoModelForCausalLM.from_config(config)
            text = config.get_text_config()
            kind = getattr(config, "dtype", None)
            return cls(
                sum(one.numel() for one in model.parameters()), text.vocab_size, text.hidden_size,
                kind.itemsize if isinstance(kind, torch.dtype) else FLOAT, getattr(text, "num_hidden_layers", 1),
                _bytes_a_token(pretrained, options, texts or {}),
            )  # fmt: skip
        return None

    @property
    def dtype(self) -> torch.dtype:
        """Of its checkpoint, as far as a number's bytes tell."""
        return torch.bfloat16 if self.itemsize == 2 else torch.float32

    @property
    def body(self) -> int:
        """Parameters but for the table of tokens, where it is one with the head."""
        return max(0, self.parameters - self.vocab * self.dim)

    def kept(self, tokens: float) -> int:
        """Bytes that a training pass over so many tokens keeps for its gradients."""
        return int(FLOAT * STATES * tokens * self.layers * self.dim)

    def tokens(self, texts: Any, *, length: int | None = None, count: int | None = None) -> float:
        """Of some texts, or pairs of texts.

        Args:
            length: tokens of a text, at most.
            count: texts, at most.
        """
        there, rows = len(texts), getattr(texts, "rows_each", 1)
        each = getattr(texts, "bytes", there * BYTES_A_TEXT) / max(1, there) / rows / self.bytes_a_token
        return min(there, count or there) * rows * min(each + 1, length or each + 1)


def _bytes_a_token(pretrained: str, options: Mapping[str, Any], texts: Mapping[str, Any]) -> float:
    """As the model's tokenizer cuts the first of the texts."""
    some = [str(one.text) for side in texts.values() for one in itertools.islice(iter(side), SAMPLED)
            if hasattr(one, "text")]  # fmt: skip
    if not some:
        return BYTES_A_TOKEN
    tokenizer = AutoTokenizer.from_pretrained(model_folder(pretrained), **options)
    count = sum(map(len, tokenizer(some, add_special_tokens=False, verbose=False)["input_ids"]))
    return sum(len(text.encode()) for text in some) / max(1, count)


@dataclass(frozen=True)
class Needs:
    """What a fit takes.

    Args:
        memory: bytes, at its peak.
        disk: bytes of what it makes, and of what lies beside while it works.
        instead: what takes less, for the message of a refusal.
        operations: floating-point operations in each precision.
        seconds: of work that is none of a model's.
        beside: what takes time that nobody can know here.
    """

    memory: int
    disk: int
    instead: str = "a smaller model takes less"
    operations: Mapping[torch.dtype, float] = field(default_factory=dict)
    seconds: float = 0.0
    beside: str = ""

    def and_then(self, other: Needs) -> Needs:
        """Of one fit after the other: the larger one's memory, and what both make."""
        work = {kind: self.operations.get(kind, 0.0) + other.operations.get(kind, 0.0)
                for kind in {**self.operations, **other.operations}}  # fmt: skip
        instead = self.instead if self.memory >= other.memory else other.instead
        beside = " and ".join(dict.fromkeys(one for one in (self.beside, other.beside) if one))
        return Needs(
            max(self.memory, other.memory), self.disk + other.disk, instead, work, self.seconds + other.seconds, beside
        )


def forward(size: Size, tokens: float, *, scored: bool = True) -> dict[torch.dtype, float]:
    """Operations of reading so many tokens in the checkpoint's precision.

    Args:
        scored: whether the head's scores are made too.
    """
    return {size.dtype: FORWARD * (size.parameters if scored else size.body) * tokens}


def reading(
    size: Size, texts: Mapping[str, Any], settings: Any, *, kept: int = 0, times: float = 1.0, scored: bool = True
) -> Needs:
    """Of a fit that runs the model and trains nothing of its size.

    Args:
        size: of the model.
        texts: see ``Fit``.
        settings: of the fit; ``texts`` or ``count`` bounds the number of texts of a side, ``block_size`` their tokens.
        kept: hidden states of each block that are kept of each text while it works.
        times: each text is read.
        scored: see ``forward``.
    """
    bound = next(
        (found for name in ("texts", "count") if isinstance(found := getattr(settings, name, None), int)), None
    )
    length = getattr(settings, "block_size", None)
    tokens = sum(size.tokens(one, length=length, count=bound) for one in texts.values())
    rows = sum(min(len(one), bound or len(one)) * getattr(one, "rows_each", 1) for one in texts.values())
    return Needs(
        size.parameters * size.itemsize,
        FLOAT * kept * size.dim * size.layers * rows,
        operations=forward(size, tokens * times, scored=scored),
    )


def finetuning(
    size: Size, texts: Mapping[str, Any], settings: Any, models: int = 1, *, passes: float = 1.0, cut: bool = True
) -> Needs:
    """Of one fine-tuned model after the other.

    Args:
        size: of the model that is trained.
        texts: see ``Fit``.
        settings: of the training.
        models: that are kept.
        passes: over a text in an epoch.
        cut: whether of a text longer than ``block_size`` the rest is left out, and not a row of its own.
    """
    weights = size.parameters * FLOAT
    length = settings.block_size if cut else None
    epochs = getattr(settings, "epochs", 1)
    tokens = sum(size.tokens(one, length=length) for one in texts.values()) * epochs
    if settings.max_steps > 0:
        tokens = min(tokens, settings.max_steps * settings.batch_size * settings.block_size * len(texts))
    kept = size.kept(getattr(settings, "device_batch_size", 0) * settings.block_size)
    lora = getattr(settings, "lora_rank", 0)
    work = {torch.float32: (FORWARD + BACKWARD / (1 + bool(lora))) * size.parameters * tokens * passes}
    if lora:
        return Needs(weights + kept, models * weights, operations=work)
    # The newest checkpoint, of weights and moments, is whole before an older one goes.
    steps = max(map(len, texts.values()), default=0) * epochs / settings.batch_size
    steps = settings.max_steps if settings.max_steps > 0 else steps
    checkpoints = 3 * STATE * weights if steps > getattr(settings, "checkpoint_steps", 500) else 0
    less = "--lora trains adapters alone, which takes a quarter; or choose a smaller model"
    return Needs((1 + STATE) * weights + kept, models * weights + checkpoints, less, work)


def packed(size: Size, texts: Mapping[str, Any], settings: Any, models: int = 1) -> Needs:
    """Of a model fine-tuned on texts that are put one after the other into rows (``training.finetune``)."""
    return finetuning(size, texts, settings, models, cut=False)


def each_side(size: Size, texts: Mapping[str, Any], settings: Any) -> Needs:
    """Of a model fine-tuned on each side of the texts."""
    return packed(size, texts, settings, len(texts))
