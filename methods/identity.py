"""Which model an artifact was made with, recognised by its weights and not only by its name."""

from __future__ import annotations

import weakref
from typing import Any

import pydantic
import torch
from transformers import PreTrainedModel

from ..core import transformers_private

PARAMETERS, VALUES = 16, 4
"""Sampled from a model: a handful of numbers tell any two models apart."""
TOLERANCE = {"float32": 1e-6, "float64": 1e-6, "float16": 2e-3, "bfloat16": 1.6e-2}
"""Relative, by the coarser of two precisions: the same model may be loaded in either."""


class ModelIdentity(pydantic.BaseModel):
    """A model's name and some of its weights.

    Args:
        name: folder or hub name it was loaded from.
        revision: commit of the hub, if any.
        model_type: its architecture.
        vocab_size: tokens it scores.
        dtype: precision of ``weights``.
        weights: parameter name -> a few of its values; empty where only the name is known.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    name: str
    revision: str | None = None
    model_type: str | None = None
    vocab_size: int | None = None
    dtype: str | None = None
    weights: dict[str, list[float]] = {}

    @classmethod
    def of(cls, model: PreTrainedModel | ModelIdentity | str) -> ModelIdentity:
        """Of a loaded model; a string is a name alone."""
        if isinstance(model, ModelIdentity):
            return model
        if isinstance(model, str):
            return cls(name=model)
        return cls(
            name=str(model.name_or_path),
            revision=transformers_private.commit(model),
            model_type=model.config.model_type,
            vocab_size=model.config.get_text_config().vocab_size,
            dtype=str(model.dtype).removeprefix("torch."),
            weights=_sample(model),
        )

    def difference(self, other: ModelIdentity) -> str | None:
        """Why the other one is another model; None if nothing says so."""
        for field in ("model_type", "vocab_size"):
            ours, theirs = getattr(self, field), getattr(other, field)
            if ours is not None and theirs is not None and ours != theirs:
                return f"{field} {ours} instead of {theirs}"
        shared = self.weights.keys() & other.weights.keys()
        if not shared:
            if self.weights and other.weights:
                return "none of its parameters has the same name"
            same = _last(self.name) == _last(other.name)
            return None if same or not (self.name and other.name) else f"'{self.name}' instead of '{other.name}'"
        allowed = max(TOLERANCE.get(dtype or "", 1.6e-2) for dtype in (self.dtype, other.dtype))
        for name in sorted(shared):
            ours, theirs = torch.tensor(self.weights[name]), torch.tensor(other.weights[name])
            if ours.shape != theirs.shape or not torch.allclose(ours, theirs, rtol=allowed, atol=allowed * 1e-2):
                return f"other weights in {name}"
        return None

    @classmethod
    def before_edits(cls, model: PreTrainedModel) -> ModelIdentity:
        """Of the model that artifacts are fitted on: the one that weight methods were put on, else the model itself."""
        return _BEFORE.get(model) or cls.of(model)


_BEFORE: weakref.WeakKeyDictionary[PreTrainedModel, ModelIdentity] = weakref.WeakKeyDictionary()


def remember(model: PreTrainedModel, identity: ModelIdentity) -> None:
    """Say which model one was before a method changed its weights."""
    _BEFORE[model] = identity


def _sample(model: PreTrainedModel) -> dict[str, list[float]]:
    """Some values of some matrices, evenly spread."""
    matrices: list[tuple[str, Any]] = [
        (name, tensor)
        for name, tensor in model.named_parameters()
        if tensor.dim() >= 2 and tensor.is_floating_point() and not tensor.is_meta
    ]
    chosen = {round(i * (len(matrices) - 1) / (PARAMETERS - 1)) for i in range(PARAMETERS)} if matrices else set()
    sample = {}
    for i in sorted(chosen):
        name, tensor = matrices[i]
        flat = tensor.detach().flatten()
        at = torch.linspace(0, len(flat) - 1, VALUES + 2)[1:-1].long().to(flat.device)
        sample[name] = [float(value) for value in flat[at].float().cpu()]
    return sample


def _last(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]
