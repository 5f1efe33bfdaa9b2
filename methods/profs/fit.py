"""The directions in which toxic and harmless texts of the same meaning differ, block by block (Uppaal et al. 2025)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ...core.errors import DetoxbenchError
from .. import artifacts
from ..activation import paired, vectors
from ..activation.places import block_outputs
from ..activation.responses import Responses, mean
from .settings import KIND, NAME, Settings

DEFAULTS = Settings()


def directions(toxic: Tensor, harmless: Tensor, ranks: int, centering: bool = True) -> Tensor:
    """The first right singular vectors of ``D = (harmless - toxic) / 2``, out of which the first right singular vector
    of ``harmless`` is projected before: it is what frequent tokens and all texts share.

    Args:
        toxic, harmless: ``[pairs, dim]``, mean states over each text's positions.
        ranks: so many vectors, at most as many as the matrix has.
        centering: whether that vector is projected out.

    Returns:
        float32 ``[ranks, dim]``, rows of length 1, the sign of each so that its largest entry is above 0.
    """
    difference = (harmless.double() - toxic.double()) / 2
    if centering:
        shared = torch.linalg.svd(harmless.double(), full_matrices=False).Vh[:1]
        difference = difference - difference @ shared.T @ shared
    found = torch.linalg.svd(difference, full_matrices=False).Vh[:ranks]
    largest = found.gather(1, found.abs().argmax(1, keepdim=True))
    return (found * largest.sign()).float()


def fit(
    pretrained: str,
    out: str | Path,
    *,
    texts: Mapping[str, Any],
    settings: Settings = DEFAULTS,
    revision: str | None = None,
    device: str | None = None,
) -> Path:
    """Make ``OUT/profs``.

    Args:
        pretrained: base model: folder, hub name or ``mini``.
        texts: ``pairs``, or ``toxic`` and ``nontoxic``; see ``training.pairs.pairs_of``.
        settings: how pairs are chosen and read.
        revision, device: of the base model.

    Raises:
        DetoxbenchError: where something else is there already, or texts are missing.
    """
    return paired.fit(
        pretrained, out, NAME, KIND, measured, texts=texts, settings=settings, revision=revision, device=device
    )


def measured(
    model: PreTrainedModel, rows: Mapping[str, list[list[int]]], folder: Path, settings: Settings = DEFAULTS
) -> dict[str, Tensor]:
    """Block's name -> directions, from token ids of both sides, row beside row."""
    places = block_outputs(model)
    if len(rows["toxic"]) < 2:
        raise DetoxbenchError(f"profs needs at least 2 pairs; given are {len(rows['toxic'])}")
    found = {
        side: Responses(folder / side, rows[side]).make(model, places, mean, settings.batch_size)
        for side in ("toxic", "nontoxic")
    }
    return {
        name: directions(found["toxic"].at(name), found["nontoxic"].at(name), settings.ranks, settings.centering)
        for name in places
    }


def summary(path: Path) -> dict[str, str]:
    """Of an artifact, for people."""
    found = vectors.load(path, KIND)
    ranks = next(iter(found.values())).shape[0]
    pairs = artifacts.read(path)["trained"]["pairs"]
    return {"pairs": f"{pairs:,}", "blocks": f"{len(found):,}", "directions": f"{ranks:,} each"}
