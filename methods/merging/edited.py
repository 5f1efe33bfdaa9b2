"""A checkpoint on disk, changed by a method that knows weights by their names in memory, tensor by tensor."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ...core.errors import DetoxbenchError
from ...core.transformers_private import Conversion, conversions
from .align import base_of
from .checkpoint import Checkpoint, slices
from .parts import Part

if TYPE_CHECKING:
    from .write import Change

KEPT = 8
"""Changed tensors that are kept: several threads work on slices that follow each other."""
Edit = Callable[[str, Tensor], Tensor]
"""From a name in memory and a tensor to the new tensor; the same object where nothing changes."""


class Edited:
    """What a checkpoint's tensors become. Memory: a few whole tensors; of a mixture, all experts of a block.

    Args:
        checkpoint: on disk.
        model: of the same architecture; its weights do not matter.
        edit: of a weight method.
        before: what else was changed first.
    """

    def __init__(self, checkpoint: Checkpoint, model: PreTrainedModel, edit: Edit, before: Change | None = None):
        self.base = base_of(checkpoint)
        self.checkpoint, self.model, self.edit, self.before = checkpoint, model, edit, before
        self.parts: Sequence[Part] = () if before is None else before.parts
        self._group = {source: one for one in conversions(model, checkpoint.entries) for source, _ in one.sources}
        self._made: OrderedDict[str, dict[str, Tensor]] = OrderedDict()
        self._lock = threading.Lock()

    def weight(self, name: str, base: Tensor, start: int = 0, dtype: torch.dtype | None = None) -> Tensor:
        """A slice of the new tensor; see ``TaskVectors.weight``.

        Raises:
            DetoxbenchError: for a number that leaves the dtype's range.
        """
        dtype = dtype or base.dtype
        if name not in self.base.weights:
            return base
        changed = self._changed(self._group[name]).get(name)
        if changed is None:
            return base.to(dtype) if self.before is None else self.before.weight(name, base, start, dtype)
        result = changed.reshape(-1)[start : start + len(base)].to(dtype)
        if not result.isfinite().all() and base.isfinite().all():
            raise DetoxbenchError(f"{name} leaves the range of {str(dtype).removeprefix('torch.')}: use another dtype")
        return result

    def _changed(self, group: Conversion) -> dict[str, Tensor]:
        """Name on disk -> new tensor, of a group of tensors that are one in memory; empty where nothing changes."""
        with self._lock:
            if group.target not in self._made:
                self._made[group.target] = self._edited(group)
                while len(self._made) > KEPT:
                    self._made.popitem(last=False)
            return self._made[group.target]

    def _edited(self, group: Conversion) -> dict[str, Tensor]:
        entries = self.checkpoint.entries
        whole = group.convert(self.model, lambda name: _wide(self._read(name).view(entries[name].shape)))
        new = {name: self.edit(name, tensor) for name, tensor in whole.items()}
        if all(new[name] is tensor for name, tensor in whole.items()):
            return {}
        found = group.revert(self.model, new)
        sources = {name: entries[name].shape for name, _ in group.sources}
        if {name: tuple(tensor.shape) for name, tensor in found.items()} != sources:
            raise DetoxbenchError(
                f"'{self.checkpoint.name}': {group.target} cannot be written back as the {len(sources)} tensors "
                "on disk that it is made of: load the model, save it again, and export from there"
            )
        return found

    def _read(self, name: str) -> Tensor:
        """A whole tensor, as the change before left it: rounded, as a model in memory is between two methods."""
        tensor = self.checkpoint.read(name)
        if self.before is None or name not in self.base.weights:
            return tensor
        parts = [self.before.weight(name, tensor[start : start + count], start) for start, count in slices(len(tensor))]
        return torch.cat(parts) if parts else tensor


def _wide(tensor: Tensor) -> Tensor:
    """Half precision is changed in float32, and rounded once."""
    return tensor.float() if tensor.is_floating_point() and tensor.itemsize < 4 else tensor
