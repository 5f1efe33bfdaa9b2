"""Steering vectors of attention outputs from pairs of texts, and which heads tell the two apart (Li et al. 2024)."""

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
from ..activation.heads import divided, split
from ..activation.places import attention_outputs, heads, out_features
from ..activation.responses import Responses, last
from ..training import work
from .settings import KIND, NAME, Settings

DEFAULTS = Settings()
TRAINED = 0.8
"""Share of the pairs that the probes are trained on; the rest says how good they are."""


def fit(
    pretrained: str,
    out: str | Path,
    *,
    texts: Mapping[str, Any],
    settings: Settings = DEFAULTS,
    revision: str | None = None,
    device: str | None = None,
) -> Path:
    """Make ``OUT/destein``.

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
    """From token ids of both sides, row beside row: ``PLACE.direction`` ``[heads, dim]``, the mean difference;
    ``PLACE.accuracy`` ``[heads]`` of the probes; ``PLACE.rank`` ``[heads]``, 0 for the best head of all blocks.

    Raises:
        DetoxbenchError: for fewer than 5 pairs, of which no fifth can be held out.
    """
    places, count = attention_outputs(model), heads(model)
    if len(rows["toxic"]) < 5:
        raise DetoxbenchError(
            f"destein needs at least 5 pairs, a fifth of them held out; given are {len(rows['toxic'])}"
        )
    for name in places:
        divided(out_features(model, name), count, f"the output of {name}")
    found = {
        side: Responses(folder / side, rows[side]).make(model, places, last(settings.last), settings.batch_size)
        for side in ("toxic", "nontoxic")
    }
    made: dict[str, Tensor] = {}
    scores: list[tuple[float, float]] = []
    for name in work.bar(list(places), desc="probes"):
        toxic, harmless = split(found["toxic"].at(name), count), split(found["nontoxic"].at(name), count)
        probed = [probe(toxic[:, head], harmless[:, head], settings.seed) for head in range(count)]
        made[f"{name}.direction"] = (toxic.double().mean(0) - harmless.double().mean(0)).float()
        made[f"{name}.accuracy"] = torch.tensor([accuracy for accuracy, _ in probed])
        scores += probed
    # Few texts are held out, so that many heads are equally accurate: of those the surer one is better.
    best = sorted(range(len(scores)), key=lambda at: (-scores[at][0], scores[at][1]))
    ranks = torch.tensor(best).argsort().to(torch.int32).view(len(places), count)
    return made | {f"{name}.rank": ranks[at].clone() for at, name in enumerate(places)}


def probe(toxic: Tensor, harmless: Tensor, seed: int = 0) -> tuple[float, float]:
    """Accuracy and mean log-loss, on the last fifth of the rows, of a logistic regression fitted on the others.

    Args:
        toxic, harmless: ``[pairs, dim]``.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    cut = int(len(toxic) * TRAINED)
    labels = [1] * cut + [0] * cut
    model = LogisticRegression(max_iter=1000, random_state=seed)
    model.fit(torch.cat([toxic[:cut], harmless[:cut]]).double().numpy(), labels)
    held = torch.cat([toxic[cut:], harmless[cut:]]).double().numpy()
    wanted = [1] * (len(toxic) - cut) + [0] * (len(harmless) - cut)
    return float(model.score(held, wanted)), float(log_loss(wanted, model.predict_proba(held), labels=[0, 1]))


def summary(path: Path) -> dict[str, str]:
    """Of an artifact, for people."""
    found = vectors.load(path, KIND)
    accuracy = torch.cat([one for name, one in found.items() if name.endswith(".accuracy")])
    return {
        "pairs": f"{artifacts.read(path)['trained']['pairs']:,}",
        "heads": f"{len(accuracy):,}",
        "mean accuracy": f"{float(accuracy.mean()):.3f}",
    }
