"""Maps from the responses to toxic text onto those to harmless text, neuron by neuron (Rodriguez et al. 2025)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from ...core.errors import DetoxbenchError
from .. import base
from ..activation import vectors
from ..activation.places import mlp_outputs, norm_outputs, out_features
from ..activation.precision import widened
from ..loading import missing_artifact
from .settings import KIND

PLACES = {"norms": norm_outputs, "mlp": mlp_outputs}
LINEAR, MEAN = ("scale", "shift", "low", "high"), ("shift",)
"""Tensors of a place, ``PLACE.PART`` on disk, by kind of map."""


def transported(
    states: Tensor, scale: Tensor | None, shift: Tensor, low: Tensor | None, high: Tensor | None, strength: float
) -> Tensor:
    """``(1 - strength) z + strength (scale z + shift)`` where ``low <= z <= high``, else ``z``.

    Args:
        states: ``[..., dim]``.
        scale, shift, low, high: float32 ``[dim]``; no scale is 1, no bounds are none.
        strength: 0 leaves the states, 1 is the whole map.
    """
    z = widened(states)
    mapped = shift if scale is None else (scale - 1) * z + shift
    if low is not None and high is not None:
        mapped = mapped.where((z >= low) & (z <= high), 0.0)
    return (z + strength * mapped).to(states.dtype)


def linear(toxic: Tensor, harmless: Tensor) -> dict[str, Tensor]:
    """The least-squares line through the sorted responses: one-dimensional optimal transport between as many of each.

    A neuron that does not vary over the toxic texts is shifted by the difference of means.

    Args:
        toxic, harmless: ``[texts, dim]``, equally many; the order of their rows is of no importance.

    Returns:
        float32 ``[dim]`` each: ``scale``, ``shift``, and the range of the toxic responses, ``low`` and ``high``.
    """
    x, y = toxic.double().sort(0).values, harmless.double().sort(0).values
    mean_x, mean_y = x.mean(0), y.mean(0)
    variance = (x - mean_x).square().mean(0)
    covariance = ((x - mean_x) * (y - mean_y)).mean(0)
    scale = torch.where(variance > 0, covariance / variance.where(variance > 0, 1.0), 1.0)
    found = {"scale": scale, "shift": mean_y - scale * mean_x, "low": x[0], "high": x[-1]}
    return {name: tensor.float() for name, tensor in found.items()}


def means(toxic: Tensor, harmless: Tensor) -> dict[str, Tensor]:
    """The difference of means, ``[dim]``: ``shift``."""
    return {"shift": (harmless.double().mean(0) - toxic.double().mean(0)).float()}


class Arguments(base.Arguments):
    vectors: str | None = Field(None, description="folder made by the fit")
    strength: float = Field(1.0, ge=0, le=1, description="share of the map; 1 is the whole, 0 the base model")


class Transport(base.ActivationMethod):
    """The maps of a folder at the places that it names.

    Args:
        places: name -> where.
        maps: place's name -> part -> tensor.
        strength: see ``transported``.
    """

    def __init__(self, places: Mapping[str, base.Place], maps: Mapping[str, Mapping[str, Tensor]], strength: float):
        self.places, self.strength = places, strength
        self.maps = vectors.Vectors({f"{name}.{part}": one for name, at in maps.items() for part, one in at.items()})
        self.has = {name: set(at) for name, at in maps.items()}

    def states(self, place: str, states: Tensor, beside: Mapping[str, Tensor]) -> Tensor:
        def part(name: str) -> Tensor | None:
            return self.maps.on(f"{place}.{name}", states.device) if name in self.has[place] else None

        shift = self.maps.on(f"{place}.shift", states.device)
        return transported(states, part("scale"), shift, part("low"), part("high"), self.strength)


def opened(method: str, model: PreTrainedModel, arguments: Any, parts: Sequence[str]) -> Transport:
    """The maps that an argument names.

    Args:
        parts: that each of them has.

    Raises:
        DetoxbenchError: where there are none, or they are of another model or kind.
    """
    if not arguments.vectors:
        raise missing_artifact(method, "vectors", f"{method} --pretrained … --toxic … --nontoxic … --out …")
    tensors = vectors.load(arguments.vectors, KIND)
    maps: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        place, _, part = name.rpartition(".")
        maps.setdefault(place, {})[part] = tensor
    found = [find(model) for find in PLACES.values()]
    where = next((one for one in found if maps.keys() <= one.keys()), {})
    if strange := sorted(maps.keys() - where.keys()):
        raise DetoxbenchError(
            f"'{arguments.vectors}' was not made on '{model.name_or_path}', which has no {strange[0]}; refit"
        )
    wanted = {f"{name}.{part}": (out_features(model, name),) for name in maps for part in parts}
    vectors.of_model(tensors, wanted, arguments.vectors, model)
    if len(tensors) != len(wanted):
        raise DetoxbenchError(f"'{arguments.vectors}' holds maps of another kind than method '{method}' takes; refit")
    return Transport({name: where[name] for name in maps}, maps, arguments.strength)
