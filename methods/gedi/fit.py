"""The class-conditional LM of GeDi from labelled text: generative and discriminative loss (Krause et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...core.errors import DetoxbenchError
from ..guidance.body import Body, Head, split
from ..loading import same_vocabulary
from ..training import loop, work
from ..training.loss import token_losses
from ..training.texts import Texts
from .classes import KIND, ClassModel
from .settings import Settings

DEFAULTS = Settings()


class Row(NamedTuple):
    """A text.

    Args:
        tokens: its ids, the end token last; without the code.
        undesired: 1 for a toxic text, 0 for another: the place of its class among the codes.
    """

    tokens: list[int]
    undesired: int


def fit(
    pretrained: str,
    out: str | Path,
    *,
    toxic: Texts,
    nontoxic: Texts,
    settings: Settings = DEFAULTS,
    revision: str | None = None,
    device: str | None = None,
) -> Path:
    """Make ``OUT/class_model``.

    Args:
        pretrained: base model: folder, hub name or ``mini``.
        out: its folder.
        toxic, nontoxic: texts of the two classes.
        settings: of the training.
        revision, device: of the base model.

    Raises:
        DetoxbenchError: for a class model of another vocabulary, codes that are one, or a training that did nothing.
    """
    out = Path(out)
    with work.locked(out):
        base, tokenizer = work.load_base(pretrained, revision=revision, device=device, dtype="float32")
        model = base
        if settings.class_pretrained is not None:
            model, _ = work.load_base(settings.class_pretrained, device=device, dtype="float32")
            same_vocabulary(base, model, "class model")
        made_with = {
            "base": work.base_record(base),
            "class_base": work.base_record(model),
            **settings.recorded(),
            "data": {texts.side: texts.record() for texts in (nontoxic, toxic)},
        }
        path = out / KIND
        if work.finished(path, KIND, made_with):
            work.discard(out, KIND)
            return path
        with work.work_folder(out, KIND, made_with) as folder:
            rows = [*_rows(tokenizer, nontoxic, 0, settings), *_rows(tokenizer, toxic, 1, settings)]
            made, learned = train(model, tokenizer, rows, settings, folder)
            facts = {"rows": len(rows), **learned}
            made.save(path, tokenizer, trained=work.trained(made_with, **facts))
    return path


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    settings: Settings,
    folder: Path | None = None,
) -> tuple[ClassModel, dict[str, Any]]:
    """Train a causal LM, in place, with a control code before each text; and what the manifest says of it."""
    codes = [_code(tokenizer, text) for text in (settings.desired_code, settings.undesired_code)]
    torch.manual_seed(settings.seed)
    trained = _Trained(model, codes)
    how = loop.How(KIND, checkpoint_steps=settings.checkpoint_steps)

    def loss(some: Sequence[Row]) -> Tensor:
        return both_losses(trained(some), some, trained.scale, settings.generative)

    learned = loop.train(trained, rows, loss, settings, how, folder)
    right = 0.0
    size = settings.device_batch_size
    sample = rows[:: max(1, len(rows) // 512)]
    with torch.no_grad():
        for start in range(0, len(sample), size):
            some = sample[start : start + size]
            found = trained(some).argmin(1).cpu()
            right += float((found == torch.tensor([row.undesired for row in some])).sum())
    made = ClassModel(model.eval(), *codes, scale=float(trained.scale.detach()))
    return made, {**learned, "accuracy": right / len(sample)}


def both_losses(losses: Tensor, rows: Sequence[Row], scale: Tensor, generative: float) -> Tensor:
    """``lambda * L_g + (1 - lambda) * L_d`` (eq. 10).

    Args:
        losses: mean negative log-likelihood of each text's tokens after each code ``[rows, 2]``, in nats.
        rows: which class each text is of.
        scale: of the losses where they tell the classes apart.
        generative: lambda.
    """
    labels = torch.tensor([row.undesired for row in rows], device=losses.device)
    own = losses.gather(1, labels[:, None]).mean()
    return generative * own + (1.0 - generative) * nn.functional.cross_entropy(-scale * losses, labels)


class _Trained(nn.Module):
    """Rows to the losses ``[rows, 2]`` of ``both_losses``."""

    def __init__(self, model: PreTrainedModel, codes: Sequence[list[int]]):
        super().__init__()
        self.model, self.codes = model, codes
        self.scale = nn.Parameter(torch.ones((), device=model.device))
        self._parts = split(model, "class model")

    def forward(self, rows: Sequence[Row]) -> Tensor:
        body, head = self._parts
        return torch.stack([_losses(body, head, code, rows) for code in self.codes], dim=1)


def _losses(body: Body, head: Head, code: list[int], rows: Sequence[Row]) -> Tensor:
    """``[rows]``: each text's mean loss over its tokens after the code."""
    width = max(len(row.tokens) for row in rows)
    ids = torch.zeros(len(rows), len(code) + width, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for at, row in enumerate(rows):
        end = len(code) + len(row.tokens)
        ids[at, :end] = torch.tensor([*code, *row.tokens])
        mask[at, :end] = 1
    ids, mask = ids.to(body.device), mask.to(body.device)
    states = body(ids, mask).logits[:, len(code) - 1 : -1]
    wanted, real = ids[:, len(code) :], mask[:, len(code) :].bool()
    flat, labels = states[real], wanted[real]
    taken = token_losses(head, flat, labels, body.config.get_text_config().vocab_size)
    losses = states.new_zeros(wanted.shape, dtype=torch.float32).masked_scatter(real, taken)
    return losses.sum(1) / real.sum(1)


def _rows(tokenizer: PreTrainedTokenizerBase, texts: Texts, undesired: int, settings: Settings) -> list[Row]:
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    found = []
    for text in work.bar(texts, total=len(texts), desc=f"{texts.side} texts", unit="text"):
        ids = tokenizer(text.text, verbose=False)["input_ids"]
        ids = ids if ids[-1:] == end else [*ids, *end]
        if ids:
            found.append(Row(ids[: settings.block_size], undesired))
    return found


def _code(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """A control code's tokens, without those that begin and end texts.

    Raises:
        DetoxbenchError: where there is none.
    """
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not ids or all(token == tokenizer.unk_token_id for token in ids):
        raise DetoxbenchError(f"control code '{text}': the model's vocabulary has no token for it; choose another")
    return ids
