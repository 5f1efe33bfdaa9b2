"""Private things of transformers that are used here, each behind a function with a name."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    WeightConverter,
    WeightRenaming,
    dot_natural_key,
    rename_source_key,
    revert_weight_conversion,
)


@dataclass
class Conversion:
    """Tensors of a checkpoint that become one or several of a model as it is in memory.

    Args:
        target: the first of the names in memory.
        sources: names in the checkpoint, with the pattern of the converter that each matched (None: only renamed).
        converter: makes the tensors, e.g. stacks a mixture's experts; None where the one source is only renamed.
    """

    target: str
    sources: list[tuple[str, str | None]] = field(default_factory=list)
    converter: Any = None

    def convert(self, model: PreTrainedModel, read: Callable[[str], Tensor]) -> dict[str, Tensor]:
        """Name in memory -> tensor, for what ``read`` gives for each source."""
        if self.converter is None:
            return {self.target: read(self.sources[0][0])}
        converter = copy.deepcopy(self.converter)
        for name, pattern in self.sources:
            converter.add_tensor(self.target, name, pattern, read(name))
        made: Mapping[str, Any] = converter.convert(self.target, model=model, config=model.config)
        return {name: tensor[0] if isinstance(tensor, list) else tensor for name, tensor in made.items()}

    def revert(self, model: PreTrainedModel, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Name in the checkpoint -> tensor, for all those that ``convert`` makes."""
        if self.converter is None:
            return {self.sources[0][0]: tensors[self.target]}
        return revert_weight_conversion(model, dict(tensors))


def conversions(model: PreTrainedModel, names: Iterable[str]) -> list[Conversion]:
    """How transformers loads tensors of these names into a model: what it renames, and what it puts together.

    Args:
        model: may lie on the meta device.
        names: in a checkpoint. One that the model has no place for keeps the name that it is renamed to.
    """
    mapping = get_model_conversion_mapping(model)
    renamings = [entry for entry in mapping if isinstance(entry, WeightRenaming)]
    converters = [entry for entry in mapping if isinstance(entry, WeightConverter)]
    by_pattern = {pattern: converter for converter in converters for pattern in converter.source_patterns}
    state, prefix = model.state_dict(), model.base_model_prefix
    found: dict[str, Conversion] = {}
    # In transformers' own order: experts are stacked by number, not by name.
    for name in sorted(names, key=dot_natural_key):
        target, pattern = rename_source_key(name, renamings, converters, prefix, state)
        if target not in state and name in state:
            target, pattern = rename_source_key(name, [], [], prefix, state)
        one = found.setdefault(target, Conversion(target))
        one.sources.append((name, pattern))
        if pattern is not None:
            one.converter = by_pattern[pattern]
    return list(found.values())
