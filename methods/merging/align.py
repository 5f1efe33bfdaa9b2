"""Which tensor of a fine-tuned checkpoint belongs to which of the base: the same name, but for four habits of savers.

A model saved with its head has a prefix that one saved without lacks (``transformer.wte.weight``, ``wte.weight``); a
tied weight is saved once or twice; masks and rotary tables were once saved as if they were weights; and transformers
renames some while loading (GPT-NeoX's ``embed_out`` is ``lm_head`` in memory). Whatever else differs is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...core.errors import DetoxbenchError
from .checkpoint import Checkpoint

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TABLES = re.compile(r"(^|\.)(attn|attention)\.(masked_)?bias$|(^|\.)rotary_emb\.inv_freq$")
"""Causal masks and rotary tables: no weights, whatever their dtype."""
SHOWN = 8


@dataclass(frozen=True)
class Base:
    """What the fine-tuned checkpoints are compared with.

    Args:
        name: for messages.
        shapes: of every tensor.
        weights: names of those that are trained: floating point, and no table.
        same: whether two tensors are equal, byte for byte.
        opened: a fine-tuned checkpoint as the base holds its tensors.
        renamed: other names of tensors -> the base's names for them, as transformers renames.
        skeleton: a new model of the base's architecture on the meta device; None where transformers knows none.
    """

    name: str
    shapes: Mapping[str, tuple[int, ...]]
    weights: Collection[str]
    same: Callable[[str, str], bool] = lambda one, other: False
    opened: Callable[[Checkpoint], Checkpoint] = lambda checkpoint: checkpoint
    renamed: Callable[[Collection[str]], Mapping[str, str]] = lambda names: {}
    skeleton: Callable[[], PreTrainedModel | None] | None = None


def is_weight(name: str, floating: bool) -> bool:
    """Whether training can change this tensor; others are copied from the base."""
    return floating and not TABLES.search(name)


def base_of(checkpoint: Checkpoint) -> Base:
    """A checkpoint on disk as base."""
    if checkpoint.adapter:
        raise DetoxbenchError(f"base model '{checkpoint.name}' is a LoRA adapter: give the model that it adapts")
    shapes = {name: entry.shape for name, entry in checkpoint.entries.items()}
    floating = {name: entry.dtype.is_floating_point for name, entry in checkpoint.entries.items()}
    weights = dict.fromkeys(name for name in shapes if is_weight(name, floating[name]))

    def renamed(names: Collection[str]) -> Mapping[str, str]:
        from .in_memory import renamed  # needs transformers, which checkpoints of the same names do without

        ours = renamed(checkpoint.config, shapes, str(checkpoint.folder))
        at = {memory: disk for disk, memory in ours.items()}
        theirs = renamed(checkpoint.config, names, str(checkpoint.folder))
        return {name: at[memory] for name, memory in theirs.items() if memory in at}

    def skeleton() -> PreTrainedModel | None:
        from .in_memory import skeleton

        return skeleton(checkpoint.config, str(checkpoint.folder))

    return Base(checkpoint.name, shapes, weights, same=checkpoint.same, renamed=renamed, skeleton=skeleton)


def best_names(wanted: Collection[str], there: Collection[str]) -> dict[str, str]:
    """Wanted name -> name under which it would be there: as it is, or with a prefix more or less.

    >>> best_names(["wte.weight"], ["transformer.wte.weight", "lm_head.weight"])
    {'wte.weight': 'transformer.wte.weight'}
    """
    candidates = [{name: name for name in wanted}]
    for prefix in sorted({f"{name.partition('.')[0]}." for name in there}):
        candidates.append({name: prefix + name if prefix + name in there else name for name in wanted})
    for prefix in sorted({f"{name.partition('.')[0]}." for name in wanted}):
        candidates.append({name: name.removeprefix(prefix) for name in wanted})
    return max(candidates, key=lambda names: sum(name in there for name in names.values()))


def align(base: Base, part: Checkpoint) -> dict[str, str]:
    """Base weight -> the part's tensor.

    Raises:
        DetoxbenchError: listing what the part lacks, has too much, or has in another shape.
    """
    names = best_names(base.weights, part.entries)
    lacking = [name for name in base.weights if names[name] not in part.entries]
    if lacking:
        names |= {ours: theirs for theirs, ours in base.renamed(part.entries).items() if ours in lacking}
        lacking = [name for name in lacking if names[name] not in part.entries]
    for name in list(lacking):
        twin = next((other for other in base.weights if other not in lacking and _twins(base, name, other)), None)
        if twin is not None:
            names[name] = names[twin]
            lacking.remove(name)
    used = {names[name] for name in base.weights}
    extra = [
        name
        for name, entry in part.entries.items()
        if name not in used
        and is_weight(name, entry.dtype.is_floating_point)
        and not any(part.same(name, other) for other in used if other in part.entries)
    ]
    shapes = [
        f"{name} {list(part.entries[names[name]].shape)} instead of {list(base.shapes[name])}"
        for name in base.weights
        if name not in lacking and part.entries[names[name]].shape != base.shapes[name]
    ]
    refuse(base, part.name, {"lacks": lacking, "has too much": extra, "has other shapes": shapes})
    numbers = [name for name in base.weights if not part.entries[names[name]].dtype.is_floating_point]
    refuse(base, part.name, {"holds whole numbers in": numbers})
    return names


def refuse(base: Base, part: str, problems: Mapping[str, Collection[str]]) -> None:
    """Raise if there is any problem, with all of them in one line."""
    found = [
        f"it {what} {', '.join(list(names)[:SHOWN])}"
        + (f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")
        for what, names in problems.items()
        if names
    ]
    if found:
        raise DetoxbenchError(f"'{part}' was not fine-tuned from '{base.name}': {'; '.join(found)}")


def _twins(base: Base, one: str, other: str) -> bool:
    return base.shapes[one] == base.shapes[other] and base.same(one, other)
