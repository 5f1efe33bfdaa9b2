"""Vectors from pairs of texts that say the same in a toxic and in a harmless way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..training import work
from ..training.pairs import MadeUp, pairs_of, taken
from . import vectors
from .responses import encode


def fit(
    pretrained: str,
    out: str | Path,
    name: str,
    kind: str,
    measured: Callable[..., dict[str, Tensor]],
    *,
    texts: Mapping[str, Any],
    settings: Any,
    revision: str | None = None,
    device: str | None = None,
) -> Path:
    """Make ``OUT/NAME``; see ``vectors.fit``.

    Args:
        pretrained, revision, device: of the base model.
        kind: of the artifact, in its manifest.
        measured: from the model, token ids of both sides (row beside row), a folder to work in and the settings to the
            tensors.
        texts: ``pairs``, or ``toxic`` and ``nontoxic``; see ``training.pairs.pairs_of``.
        settings: how pairs are chosen and read.

    Raises:
        DetoxbenchError: where something else is there already, or texts are missing.
    """
    pairs = pairs_of(texts, settings.count, settings.seed)
    if isinstance(pairs, MadeUp):
        work.say("no --pairs: toxic and non-toxic texts of one language are put side by side at random")

    def compute(
        model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        chosen = taken(pairs, settings.count, settings.seed)
        length = work.max_positions(model, settings.block_size)
        rows = {
            "toxic": encode(tokenizer, (one.prompt + one.toxic for one in chosen), length),
            "nontoxic": encode(tokenizer, (one.prompt + one.neutral for one in chosen), length),
        }
        return measured(model, rows, folder, settings), {"pairs": len(chosen)}

    return vectors.fit(
        pretrained, Path(out), name, kind, compute, data={"pairs": pairs.record()}, settings=settings.recorded(),
        revision=revision, device=device,
    )  # fmt: skip
