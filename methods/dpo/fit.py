"""Direct preference optimization on pairs of a harmless and a toxic continuation (Rafailov et al. 2023)."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import regex
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...core.errors import DetoxbenchError
from ..guidance.body import split
from ..training import finetune, loop, work
from ..training.lora import adapted
from ..training.loss import token_losses
from ..training.pairs import Pair, pairs_of, taken
from .settings import LORA_RATE, NAME, RATE, Settings

DEFAULTS = Settings()
_SPACED = regex.compile(r"(?![\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}])[\p{L}\p{N}]")
"""A letter of a script that is written with spaces."""


@dataclass
class Row:
    """A pair as tokens.

    Args:
        texts: the harmless and the toxic text, each with its prompt in front.
        prompts: how many tokens of each are prompt, at least one.
        reference: the base model's log-probabilities of the two continuations, in nats; known before training begins.
    """

    texts: tuple[list[int], list[int]]
    prompts: tuple[int, int]
    reference: tuple[float, float] = (0.0, 0.0)


def preference_loss(policy: Tensor, reference: Tensor, beta: float) -> Tensor:
    """``-log sigmoid(beta * (policy_w - reference_w - policy_l + reference_l))``, the mean over pairs (eq. 7).

    Args:
        policy, reference: log-probabilities of the harmless and the toxic continuation ``[pairs, 2]``, in nats.
        beta: > 0.
    """
    gained = policy - reference
    return -nn.functional.logsigmoid(beta * (gained[:, 0] - gained[:, 1])).mean()


def fit(
    pretrained: str,
    out: str | Path,
    *,
    texts: Mapping[str, Any],
    settings: Settings = DEFAULTS,
    revision: str | None = None,
    device: str | None = None,
) -> Path:
    """Make ``OUT/dpo``: the base model, or with adapters merged into it.

    Args:
        pretrained: base model: folder, hub name or ``mini``.
        out: its folder.
        texts: ``pairs``; or ``toxic`` and ``nontoxic``, put side by side at random within each language.
        settings: of the training.
        revision, device: of the base model.

    Raises:
        DetoxbenchError: for texts that make no pairs, a lack of peft, or a training that did nothing.
    """
    out = Path(out)
    if settings.learning_rate is None:
        settings = settings.replaced(learning_rate=LORA_RATE if settings.lora_rank else RATE)
    with work.locked(out):
        model, tokenizer = work.load_base(pretrained, revision=revision, device=device, dtype="float32")
        pairs = pairs_of(texts, settings.pairs_limit or None, settings.seed)
        made_with = {"base": work.base_record(model), **settings.recorded(), "data": {"pairs": pairs.record()}}
        path = out / NAME
        if work.finished(path, finetune.KIND, made_with):
            work.discard(out, NAME)
            return path
        with work.work_folder(out, NAME, made_with) as folder:
            chosen = taken(pairs, settings.pairs_limit or None, settings.seed)
            size = work.max_positions(model, settings.block_size)
            rows = [row for pair in chosen if (row := encode(tokenizer, pair, settings.prompt_size, size)) is not None]
            if not rows:
                raise DetoxbenchError("no pair has two tokens: nothing to learn from")
            made, learned = train(model, rows, settings, folder)
            facts = {"rows": len(rows), **learned}
            finetune.save(made, tokenizer, path, work.trained(made_with, **facts))
    return path


def encode(tokenizer: PreTrainedTokenizerBase, pair: Pair, prompt_size: int, size: int) -> Row | None:
    """A pair's tokens, each text with its end token; None where a continuation has none of its own."""
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    before = tokenizer(pair.prompt, verbose=False)["input_ids"] if pair.prompt else []
    while before and before[-1:] == end:
        before.pop()
    first = next((one for one in (tokenizer.bos_token_id, tokenizer.eos_token_id) if one is not None), None)
    texts, prompts = [], []
    for text in (pair.neutral, pair.toxic):
        whole = tokenizer(joined(pair.prompt, text), verbose=False)["input_ids"]
        whole = whole if whole[-1:] == end else [*whole, *end]
        # Where prompt and text share a token, it is the text's.
        shared = next((at for at, (one, two) in enumerate(zip(before, whole, strict=False)) if one != two), len(before))
        shared = min(shared, len(whole))
        if shared == 0:
            # Without a prompt the first token is what begins a text, which is not learned.
            if whole[:1] == [first] and len(whole) > 1:
                shared = 1
            elif first is not None:
                whole, shared = [first, *whole], 1
            else:
                shared = 1
        cut = max(0, shared - prompt_size)
        whole, shared = whole[cut : cut + size], shared - cut
        if len(whole) <= shared:
            return None
        texts.append(whole)
        prompts.append(shared)
    return Row((texts[0], texts[1]), (prompts[0], prompts[1]))


def joined(prompt: str, text: str) -> str:
    """A prompt and what continues it: with a space between, where both have a letter there that wants one."""
    if prompt and text and _SPACED.match(prompt[-1]) and _SPACED.match(text[0]):
        return f"{prompt} {text}"
    return prompt + text


def train(
    model: PreTrainedModel, rows: Sequence[Row], settings: Settings, folder: Path | None = None
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The trained model and what the manifest says of it. The reference's log-probabilities are the base model's own,
    measured once before training, so that no second model is held."""
    with torch.no_grad():
        judge = _LogLikelihoods(model, settings)
        for start in work.bar(range(0, len(rows), settings.device_batch_size), desc="reference", unit="batch"):
            some = rows[start : start + settings.device_batch_size]
            for row, found in zip(some, judge(some).tolist(), strict=True):
                row.reference = (found[0], found[1])
    shuffled = list(rows)
    random.Random(settings.seed).shuffle(shuffled)
    held = int(len(rows) * settings.held_out)
    torch.manual_seed(settings.seed)
    cache = model.config.use_cache
    model.config.use_cache = False
    trained: Any = _adapted(model, settings) if settings.lora_rank else model
    policy = _LogLikelihoods(trained, settings)

    def loss(some: Sequence[Row]) -> Tensor:
        found = policy(some)
        reference = torch.tensor([row.reference for row in some], device=found.device)
        return preference_loss(found, reference, settings.beta)

    how = loop.How(
        NAME,
        optimizer="rmsprop",
        checkpoint_steps=settings.checkpoint_steps,
        patience=settings.patience if held else 0,
        decay=False,
    )
    learned = loop.train(trained, shuffled[held:], loss, settings, how, folder, held_out=shuffled[:held])
    if settings.lora_rank:
        trained = trained.merge_and_unload()
    trained.config.use_cache = cache
    return trained.eval(), learned


class _LogLikelihoods:
    """Of the two continuations of each pair ``[pairs, 2]``, in nats.

    Args:
        model: a causal LM, or peft's around one.
        settings: say the precision.
    """

    def __init__(self, model: Any, settings: Settings):
        self.body, self.head = split(model, NAME)
        device = self.body.device.type
        supported = device != "cpu" and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        wanted = supported if settings.bf16 is None else settings.bf16
        self.autocast: Any = torch.autocast(device, torch.bfloat16) if wanted else contextlib.nullcontext()

    def __call__(self, rows: Sequence[Row]) -> Tensor:
        texts = [(text, prompt) for row in rows for text, prompt in zip(row.texts, row.prompts, strict=True)]
        width = max(len(text) for text, _ in texts)
        ids = torch.zeros(len(texts), width, dtype=torch.int64)
        mask, wanted = torch.zeros_like(ids), torch.zeros_like(ids)
        for at, (text, prompt) in enumerate(texts):
            ids[at, : len(text)] = torch.tensor(text)
            mask[at, : len(text)] = 1
            wanted[at, prompt : len(text)] = 1
        ids, mask, chosen = (
            ids.to(self.body.device),
            mask.to(self.body.device),
            wanted[:, 1:].bool().to(self.body.device),
        )
        with self.autocast:
            states = self.body(ids, mask).logits[:, :-1]
            vocab = self.body.config.get_text_config().vocab_size
            losses = token_losses(self.head, states[chosen], ids[:, 1:][chosen], vocab)
        whole = losses.new_zeros(chosen.shape).masked_scatter(chosen, losses)
        return -whole.sum(1).view(len(rows), 2)


def _adapted(model: PreTrainedModel, settings: Settings) -> Any:
    return adapted(
        model, settings.lora_rank, "preference optimization with --lora",
        alpha=settings.lora_alpha, dropout=settings.lora_dropout,
    )  # fmt: skip
