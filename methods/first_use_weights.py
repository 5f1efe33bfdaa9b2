"""First use of the weight methods on ``mini``: see ``mini``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..core.constants import MINI
from . import first_use as mini
from .dapt import fit as dapt
from .gradient_ascent import fit as gradient_ascent
from .task_vector import fit as task_vector
from .training import finetune

SPLITS = 5
PARTS = finetune.Settings(
    epochs=1.0, learning_rate=1e-3, warmup_steps=0, batch_size=32, device_batch_size=32, block_size=64
)
"""Of each part, and of plain negation, which so takes as many steps as all parts together."""
COEFFICIENT = 0.75
NEGATION_COEFFICIENT = 0.5
DAPT = replace(PARTS, max_steps=40)
ASCENT = replace(PARTS, learning_rate=1e-4, max_steps=20)


def parts(splits: int) -> Path:
    """The folder with ``part_0``, …: ``mini`` fine-tuned on parts of the toxic sentences."""

    def make(folder: Path) -> None:
        toxic = mini._texts(folder, "toxic")
        task_vector.fit(
            MINI, folder, toxic=toxic, splits=splits, settings=PARTS, device="cpu", only=list(range(splits))
        )

    return mini._cached("task_vector" if splits > 1 else "negation", {**asdict(PARTS), "splits": splits}, make)


def _one(name: str, side: str, settings: finetune.Settings, fit: Callable[..., Path]) -> dict[str, Any]:
    """The argument of a method that is one fine-tuned model."""

    def make(folder: Path) -> None:
        fit(MINI, folder, settings=settings, device="cpu", **{side: mini._texts(folder, side)})

    return {"finetuned": str(mini._cached(name, asdict(settings), make) / name)}


def _task_vector(given: dict[str, Any]) -> dict[str, Any]:
    return {"coefficient": COEFFICIENT, "finetuned": str(parts(SPLITS)), **given}


def _negation(given: dict[str, Any]) -> dict[str, Any]:
    return {"coefficient": NEGATION_COEFFICIENT, "finetuned": str(parts(1) / "part_0"), **given}


def _dapt(given: dict[str, Any]) -> dict[str, Any]:
    return {**_one(dapt.NAME, "nontoxic", DAPT, dapt.fit), **given}


def _gradient_ascent(given: dict[str, Any]) -> dict[str, Any]:
    return {**_one(gradient_ascent.NAME, "toxic", ASCENT, gradient_ascent.fit), **given}


COMPLETE: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    name: lambda given, complete=complete: given if "finetuned" in given else complete(given)
    for name, complete in (
        ("task_vector", _task_vector),
        ("negation", _negation),
        ("dapt", _dapt),
        ("gradient_ascent", _gradient_ascent),
    )
}
