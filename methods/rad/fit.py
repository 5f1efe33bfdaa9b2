"""RAD's reward model from labelled text: the squared error after every token, weighted by its position."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ..training import loop, work
from ..training.texts import Texts
from .reward_model import KIND, RewardModel, padded
from .settings import Settings

DEFAULTS = Settings()
BETAS = (0.9, 0.95)


class Row(NamedTuple):
    """A text.

    Args:
        tokens: at least one.
        toxicity: in [0, 1].
    """

    tokens: list[int]
    toxicity: float


def fit(
    pretrained: str,
    out: str | Path,
    *,
    toxic: Texts | None = None,
    nontoxic: Texts | None = None,
    settings: Settings = DEFAULTS,
    revision: str | None = None,
    device: str | None = None,
) -> Path:
    """Make ``OUT/reward_model``.

    Args:
        pretrained: base model: folder, hub name or ``mini``.
        out: its folder.
        toxic, nontoxic: texts. One whose label is a number in [0, 1] has that toxicity; others have 1 and 0.
        settings: of the training.
        revision, device: of the base model.

    Raises:
        DetoxbenchError: for a model that cannot be loaded, or a training that did nothing.
    """
    out = Path(out)
    source = pretrained if settings.reward_pretrained is None else settings.reward_pretrained
    version = revision if settings.reward_pretrained is None else None
    with work.locked(out):
        model, tokenizer = work.load_base(source, revision=version, device=device, dtype="float32")
        given = [texts for texts in (nontoxic, toxic) if texts is not None]
        rows = [row for texts in given for row in _rows(tokenizer, texts, settings)]
        targets = hashlib.sha256(json.dumps([row.toxicity for row in rows]).encode()).hexdigest()
        made_with = {
            "base": work.base_record(model),
            **settings.recorded(),
            "data": {texts.side: texts.record() for texts in given},
            "targets": targets,
        }
        path = out / KIND
        if work.finished(path, KIND, made_with):
            work.discard(out, KIND)
            return path
        with work.work_folder(out, KIND, made_with) as folder:
            torch.manual_seed(settings.seed)
            made = RewardModel.from_causal_lm(model, tokenizer, take=True)

            def loss(some: Sequence[Row]) -> Tensor:
                ids, mask = padded([row.tokens for row in some], made.device)
                wanted = torch.tensor([row.toxicity for row in some], device=made.device)
                return cumulated(made(ids, mask), mask, wanted)

            how = loop.How(KIND, betas=BETAS, checkpoint_steps=settings.checkpoint_steps)
            learned = loop.train(made, rows, loss, settings, how, folder)
            made.save(path, trained=work.trained(made_with, rows=len(rows), **learned))
    return path


def cumulated(found: Tensor, mask: Tensor, wanted: Tensor) -> Tensor:
    """``sum_t t (r_t - r)^2 / sum_t t`` of each text, over its real tokens t = 1, 2, …; their mean (eq. 1).

    Args:
        found: ``[batch, pos]`` after each token.
        mask: ``[batch, pos]``, right-padded.
        wanted: ``[batch]`` of the whole text.
    """
    weights = mask.cumsum(1) * mask
    errors = (found - wanted[:, None]).square() * weights
    return (errors.sum(1) / weights.sum(1)).mean()


def _rows(tokenizer: PreTrainedTokenizerBase, texts: Texts, settings: Settings) -> list[Row]:
    found = []
    for text in work.bar(texts, total=len(texts), desc=f"{texts.side} texts", unit="text"):
        ids = tokenizer(text.text, verbose=False)["input_ids"][: settings.block_size]
        score = getattr(text, "score", None)
        known = score is not None and 0.0 <= score <= 1.0
        if ids:
            found.append(Row(ids, score if known else float(texts.side == "toxic")))
    return found
