"""Factors of neurons from how well each tells toxic from harmless text (Suau et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...core.errors import DetoxbenchError
from .. import artifacts
from ..activation import vectors
from ..activation.places import mlp_outputs
from ..activation.responses import Responses, chosen, encode, highest
from ..training import work
from ..training.texts import Texts
from .lengths import matched
from .settings import KIND, NAME, Settings

DEFAULTS = Settings()
POOL = 10
"""So many times the texts that are wanted are looked at for pairs of one length."""


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
        rows, cut = _rows(tokenizer, texts, settings, length)
        facts = {
            "texts": {side: len(one) for side, one in rows.items()},
            "tokens": {side: sum(map(len, one)) for side, one in rows.items()},
            "cut": cut,
        }
        return measured(model, rows, folder, settings), facts

    return vectors.fit(
        pretrained, Path(out), NAME, KIND, compute, data={side: one.record() for side, one in texts.items()},
        settings=settings.recorded(), revision=revision, device=device,
    )  # fmt: skip


def _rows(
    tokenizer: PreTrainedTokenizerBase, texts: Mapping[str, Texts], settings: Settings, length: int
) -> tuple[dict[str, list[list[int]]], int]:
    """Token ids of both sides, and how many pairs of texts had one cut to the other's length.

    Raises:
        DetoxbenchError: where lengths are to be matched and the sides share no language.
    """
    pool = settings.texts * (POOL if settings.lengths == "matched" else 1)
    found = {side: chosen(given, pool, settings.seed) for side, given in texts.items()}
    rows = {side: encode(tokenizer, (one.text for one in some), length) for side, some in found.items()}
    if settings.lengths == "given":
        return rows, 0
    told = all(one.lang is not None for some in found.values() for one in some)
    groups = {side: [one.lang if told else None for one in some] for side, some in found.items()}
    sides = (zip(groups[side], rows[side], strict=True) for side in ("toxic", "nontoxic"))
    toxic, nontoxic, cut = matched(*sides, settings.texts, settings.seed)
    if not toxic:
        raise DetoxbenchError(
            f"aura: the toxic texts are in {', '.join(sorted({*map(str, groups['toxic'])}))}, the others in "
            f"{', '.join(sorted({*map(str, groups['nontoxic'])}))}: no language has both; give texts of the same "
            "languages, or lengths=given"
        )
    return {"toxic": toxic, "nontoxic": nontoxic}, cut


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
    trained = artifacts.read(path)["trained"]
    return {
        "texts": " + ".join(f"{count:,}" for count in trained["texts"].values()),
        "tokens a text": " and ".join(
            f"{tokens / trained['texts'][side]:.1f}" for side, tokens in trained["tokens"].items()
        ),
        "neurons": f"{len(every):,}",
        "damped": f"{int((every < 1).sum()):,}",
        "mean factor": f"{float(every.mean()):.3f}",
    }
