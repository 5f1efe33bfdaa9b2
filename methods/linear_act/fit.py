"""Maps of activations, each place fitted with the maps before it at work (Rodriguez et al. 2025)."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...core import files
from .. import artifacts
from ..activation import vectors
from ..activation.hooks import steering
from ..activation.places import in_order
from ..activation.responses import Responses, chosen, encode, mean
from ..base import Place
from ..training import work
from ..training.texts import Texts
from .settings import KIND, NAME, Settings
from .transport import PLACES, Transport, linear, means

DEFAULTS = Settings()
MAPS = {"linear": linear, "mean": means}
Maps = dict[str, dict[str, Tensor]]


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
    """Make ``OUT/linear_act``; a killed fit goes on at the place where it was stopped.

    Args:
        pretrained: base model: folder, hub name or ``mini``.
        toxic, nontoxic: texts.
        settings: which maps, and how texts are chosen and read.
        revision, device: of the base model.

    Raises:
        DetoxbenchError: where something else is there already.
    """
    texts = {"toxic": toxic, "nontoxic": nontoxic}

    def compute(
        model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        length = work.max_positions(model, settings.block_size)
        count = min(settings.texts, *(len(one) for one in texts.values()))
        rows = {
            side: encode(tokenizer, chosen((one.text for one in given), count, settings.seed), length)
            for side, given in texts.items()
        }
        return measured(model, rows, folder, settings), {"texts": count}

    return vectors.fit(
        pretrained, Path(out), NAME, KIND, compute, data={side: one.record() for side, one in texts.items()},
        settings=settings.recorded(), revision=revision, device=device,
    )  # fmt: skip


def measured(
    model: PreTrainedModel, rows: Mapping[str, list[list[int]]], folder: Path, settings: Settings = DEFAULTS
) -> dict[str, Tensor]:
    """``PLACE.PART`` -> tensor, from as many rows of token ids of both sides."""
    places = in_order(model, PLACES[settings.where](model))
    maps: Maps = {}
    steps = [{name: place} for name, place in places.items()] if settings.incremental else [places]
    for number, step in enumerate(work.bar(steps, desc="places")):
        maps |= _step(model, rows, folder / f"{number:05d}", settings, step, places, maps)
    return {f"{name}.{part}": tensor for name, at in maps.items() for part, tensor in at.items()}


def _step(
    model: PreTrainedModel, rows: Mapping[str, list[list[int]]], folder: Path, settings: Settings,
    step: Mapping[str, Place], places: Mapping[str, Place], before: Maps,
) -> Maps:  # fmt: skip
    """The maps of some places, made once."""
    done = folder.with_suffix(".safetensors")
    if not done.is_file():
        earlier = Transport({name: places[name] for name in before}, before, 1.0)
        found = {
            side: Responses(folder / side, rows[side]).make(
                model, step, mean, settings.batch_size, lambda: steering(model, earlier), stop=True
            )
            for side in ("toxic", "nontoxic")
        }
        made = {name: MAPS[settings.map](found["toxic"].at(name), found["nontoxic"].at(name)) for name in step}
        content = {f"{name}.{part}": tensor for name, at in made.items() for part, tensor in at.items()}
        files.write_bytes(done, save({name: tensor.contiguous() for name, tensor in content.items()}))
    shutil.rmtree(folder, ignore_errors=True)
    maps: Maps = {}
    for name, tensor in load_file(done).items():
        place, _, part = name.rpartition(".")
        maps.setdefault(place, {})[part] = tensor
    return maps


def summary(path: Path) -> dict[str, str]:
    """Of an artifact, for people."""
    shifts = {name: one for name, one in vectors.load(path, KIND).items() if name.endswith(".shift")}
    return {
        "texts": f"{artifacts.read(path)['trained']['texts']:,} of each side",
        "places": f"{len(shifts):,}",
        "neurons": f"{sum(len(one) for one in shifts.values()):,}",
    }
