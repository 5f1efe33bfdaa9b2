"""Factors of neurons from how well each tells toxic from harmless text (Suau et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .. import artifacts
from ..activation import vectors
from ..activation.places import mlp_outputs
from ..activation.responses import Responses, chosen, encode, highest
from ..training import work
from ..training.texts import Texts
from .settings import KIND, NAME, Settings

DEFAULTS = Settings()


def auroc(positive: Tensor, negative: Tensor) -> Tensor:
    """The area under the receiver operating characteristic, per column: the share of pairs in which the positive one is
    larger; equal ones count half.

    Args:
        positive: ``[n, dim]``.
        negative: ``[m, dim]``.

    Returns:
        float64 ``[dim]``.
    """
    ordered = negative.T.contiguous().sort(-1).values
    wanted = positive.T.contiguous()
    below = torch.searchsorted(ordered, wanted, right=False) + torch.searchsorted(ordered, wanted, right=True)
    return below.double().mean(-1) / (2 * len(negative))


def factors(toxic: Tensor, nontoxic: Tensor) -> Tensor:
    """``1 - 2 (AUROC - 0.5)`` where the AUROC is above 0.5, else 1.

    Args:
        toxic, nontoxic: ``[texts, dim]`` responses.

    Returns:
        float32 ``[dim]``, of 0 to 1.
    """
    return (2 - 2 * auroc(toxic, nontoxic)).clamp(max=1.0).float()


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
    """Make ``OUT/aura``.

    Args:
        pretrained: base model: folder, hub name or ``mini``.
        toxic, nontoxic: texts.
        settings: how they are chosen and read.
        revision, device: of the base model.

    Raises:
        DetoxbenchError: where something else is there already.
    """
    texts = {"toxic": toxic, "nontoxic": nontoxic}

    def compute(
        model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        length = work.max_positions(model, settings.block_size)
        rows = {
            side: encode(tokenizer, chosen((one.text for one in given), settings.texts, settings.seed), length)
            for side, given in texts.items()
        }
        return measured(model, rows, folder, settings), {"texts": {side: len(rows[side]) for side in rows}}

    return vectors.fit(
        pretrained, Path(out), NAME, KIND, compute, data={side: one.record() for side, one in texts.items()},
        settings=settings.recorded(), revision=revision, device=device,
    )  # fmt: skip


def measured(
    model: PreTrainedModel, rows: Mapping[str, list[list[int]]], folder: Path, settings: Settings = DEFAULTS
) -> dict[str, Tensor]:
    """Place -> factors of a model, from token ids of both sides."""
    places = mlp_outputs(model)
    found = {
        side: Responses(folder / side, rows[side]).make(model, places, highest, settings.batch_size)
        for side in ("toxic", "nontoxic")
    }
    return {name: factors(found["toxic"].at(name), found["nontoxic"].at(name)) for name in places}


def summary(path: Path) -> dict[str, str]:
    """Of an artifact, for people: neurons, and how many are damped."""
    every = torch.cat(list(vectors.load(path, KIND).values()))
    read = artifacts.read(path)["trained"]["texts"]
    return {
        "texts": " + ".join(f"{count:,}" for count in read.values()),
        "neurons": f"{len(every):,}",
        "damped": f"{int((every < 1).sum()):,}",
        "mean factor": f"{float(every.mean()):.3f}",
    }
