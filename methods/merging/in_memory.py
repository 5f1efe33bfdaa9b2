"""A checkpoint under the names that its tensors have in memory, where transformers renames and fuses what it loads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from ...core.errors import DetoxbenchError
from ...core.transformers_private import Conversion, conversions
from .checkpoint import Checkpoint, Entry

KEPT = 2
"""Converted groups of tensors that are kept: slices of one tensor follow each other."""


class InMemory(Checkpoint):
    """A whole checkpoint as a model holds it: what was only renamed is read from the file, what is put together from
    several tensors (a mixture's experts) is put together when it is asked for.

    Args:
        checkpoint: on disk.
        model: of the same architecture; its weights do not matter.

    Raises:
        DetoxbenchError: where tensors cannot be put together.
    """

    def __init__(self, checkpoint: Checkpoint, model: PreTrainedModel):
        self.__dict__.update(checkpoint.__dict__)
        self.on_disk, self.model = checkpoint, model
        self.entries = {}
        self._sources: dict[str, str] = {}
        self._made: dict[str, Conversion] = {}
        self._kept: OrderedDict[str, dict[str, Tensor]] = OrderedDict()
        for one in conversions(model, checkpoint.entries):
            if one.converter is None:
                for source, _ in one.sources:
                    # Two tensors of one name: the second is known by its own, and refused if it differs.
                    name = one.target if one.target not in self.entries else source
                    self.entries[name] = checkpoint.entries[source]
                    self._sources[name] = source
            else:
                first = checkpoint.entries[one.sources[0][0]]
                for name, tensor in self._convert(one, meta=True).items():
                    self.entries[name] = Entry(first.path, first.dtype, tuple(tensor.shape), -1)
                    self._made[name] = one
        for alias, name in _tied(model).items():
            if name not in self.entries and alias in self._sources:
                self.entries[name] = self.entries.pop(alias)
                self._sources[name] = self._sources.pop(alias)

    def read(self, name: str, start: int = 0, count: int | None = None) -> Tensor:
        if name in self._sources:
            return self.on_disk.read(self._sources[name], start, count)
        one = self._made[name]
        if one.target not in self._kept:
            self._kept[one.target] = self._convert(one)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        flat = self._kept[one.target][name].reshape(-1)
        return flat[start : None if count is None else start + count]

    def _convert(self, one: Conversion, meta: bool = False) -> dict[str, Tensor]:
        entries = self.on_disk.entries

        def read(name: str) -> Tensor:
            if meta:
                return torch.empty(entries[name].shape, dtype=entries[name].dtype, device="meta")
            return self.on_disk.read(name).view(entries[name].shape)

        try:
            return one.convert(self.model, read)
        except (RuntimeError, ValueError, KeyError, IndexError, TypeError) as error:
            # transformers raises as the operation does: for a tensor that lacks, or has another shape.
            cause = str(error).strip().splitlines() or [type(error).__name__]
            raise DetoxbenchError(f"'{self.name}': {one.target} cannot be put together: {cause[0]}") from error


def names_in_memory(model: PreTrainedModel, names: Collection[str]) -> dict[str, str]:
    """Name in a checkpoint -> name in memory, for tensors that are only renamed when they are loaded into a model."""
    return {one.sources[0][0]: one.target for one in conversions(model, names) if one.converter is None}


def renamed(config: Mapping[str, object], names: Collection[str], folder: str) -> dict[str, str]:
    """Name in a checkpoint -> name in memory, for tensors that are only renamed; the others keep their names.

    Args:
        config: of the checkpoint.
        names: of its tensors.
        folder: where the configuration lies.

    Returns:
        Nothing but the same names where transformers does not know the architecture.
    """
    same = dict(zip(names, names, strict=True))
    model = skeleton(config, folder)
    return same if model is None else same | names_in_memory(model, names)


def skeleton(config: Mapping[str, object], folder: str) -> PreTrainedModel | None:
    """A new model of a checkpoint's architecture, without weights; None of an architecture that is not transformers'.

    Args:
        config: of the checkpoint.
        folder: where the configuration lies.
    """
    if "model_type" not in config:
        return None
    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, AttributeError, TypeError):
        return None  # an architecture of its own: its names are compared as they are


def _tied(model: PreTrainedModel) -> dict[str, str]:
    """Name of a shared tensor -> the first of its names."""
    first: dict[int, str] = {}
    state = model.state_dict()
    names = {name: first.setdefault(tensor.data_ptr(), name) for name, tensor in state.items() if tensor.numel()}
    return {name: other for name, other in names.items() if name != other}
