"""A fine-tuned model as a difference from the base: a whole checkpoint, or the LoRA adapter of one."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from ...core.errors import DetoxbenchError
from .align import Base, align, best_names, refuse
from .checkpoint import Checkpoint, open_checkpoint
from .through_peft import Difference, differences

_LORA = re.compile(r"^(.*)\.lora_(embedding_)?([AB])(?:\.default)?(?:\.weight)?$")
_PEFT = "base_model.model."


class Part(Protocol):
    """A fine-tuned model."""

    checkpoint: Checkpoint

    def dtype(self, name: str) -> torch.dtype | None:
        """Of its tensor for a base weight; None where that is unchanged."""
        ...

    def difference(self, name: str, start: int, base: Tensor) -> Tensor | None:
        """Its weight minus the base's, flat, in the base's dtype; None where that is unchanged.

        Args:
            name: of the base's tensor.
            start: element of it where the slice starts.
            base: the base's slice, ``[count]``; left alone.
        """
        ...


class Whole:
    """A whole fine-tuned checkpoint.

    Raises:
        DetoxbenchError: where it does not fit the base, listing the differences.
    """

    def __init__(self, base: Base, checkpoint: Checkpoint):
        self.checkpoint = checkpoint
        self.names = align(base, checkpoint)

    def dtype(self, name: str) -> torch.dtype | None:
        return self.checkpoint.entries[self.names[name]].dtype

    def difference(self, name: str, start: int, base: Tensor) -> Tensor | None:
        return self.checkpoint.read(self.names[name], start, len(base)).to(base.dtype).sub_(base)


class Adapter:
    """A LoRA adapter as peft saves it: ``scale * B @ A`` (Hu et al. 2021, section 4.1), and weights saved whole. Of
    what transformers fuses in memory peft itself makes the difference (``through_peft``).

    Raises:
        DetoxbenchError: for other kinds of adapters, or targets that the base does not have.
    """

    def __init__(self, base: Base, checkpoint: Checkpoint):
        self.checkpoint = checkpoint
        config = checkpoint.config
        if config.get("peft_type", "LORA") != "LORA" or config.get("use_dora"):
            kind = "DoRA" if config.get("use_dora") else config["peft_type"]
            raise DetoxbenchError(
                f"'{checkpoint.name}' is a {kind} adapter; LoRA can be merged here: merge this one into a whole "
                "checkpoint first (peft's merge_and_unload, then save_pretrained)"
            )
        self.transposed = bool(config.get("fan_in_fan_out"))
        factors: dict[str, dict[str, str]] = {}
        whole: dict[str, str] = {}
        for key in checkpoint.entries:
            name = key.removeprefix(_PEFT).replace(".base_layer.", ".").replace(".modules_to_save.", ".")
            if match := _LORA.match(name):
                factors.setdefault(f"{match[1]}.weight", {})[(match[2] or "") + match[3]] = key
            else:
                whole[name] = key
        targets = best_names([*factors, *whole], base.shapes)
        if absent := [name for name, target in targets.items() if target not in base.shapes]:
            targets |= {name: ours for name, ours in base.renamed(absent).items() if ours in base.shapes}
        self.fused: dict[str, Difference] = {}
        absent = [name for name in factors if targets[name] not in base.shapes]
        if absent and (fused := differences(base, checkpoint, absent)):
            self.fused, factors = fused, {}
        unknown = [name for name in (*factors, *whole) if targets[name] not in base.shapes]
        unknown += [name for name in self.fused if name not in base.shapes]
        self.whole = {targets[name]: key for name, key in whole.items()}
        self.factors = {targets[name]: (self._scale(name, keys), keys) for name, keys in factors.items()}
        shapes = [] if unknown else self._wrong_shapes(base)
        refuse(base, checkpoint.name, {"adapts": unknown, "has other shapes": shapes})
        self._last: tuple[Any, Any] | None = None

    def _scale(self, name: str, keys: Mapping[str, str]) -> float:
        """alpha / rank, or alpha / sqrt(rank), with this module's own alpha and rank where it has them."""
        config, module = self.checkpoint.config, name.removesuffix(".weight")
        first = keys.get("A") or keys.get("embedding_A")
        if first is None or not ({"A", "B"} <= keys.keys() or {"embedding_A", "embedding_B"} <= keys.keys()):
            raise DetoxbenchError(f"'{self.checkpoint.name}' has one LoRA factor of {module} only: copy it again")
        rank = self.checkpoint.entries[first].shape[0]
        alpha = _pattern(config.get("alpha_pattern"), module, config.get("lora_alpha", rank))
        return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)

    def _wrong_shapes(self, base: Base) -> list[str]:
        wrong = []
        for name, (_, keys) in self.factors.items():
            a, b = (self.checkpoint.entries[keys[key]].shape for key in sorted(keys))
            shape = (b[0], a[1]) if "A" in keys and not self.transposed else (a[1], b[0])
            if len(a) != 2 or len(b) != 2 or a[0] != b[1] or shape != base.shapes[name]:
                wrong.append(f"{name} {list(a)} x {list(b)} for {list(base.shapes[name])}")
        for name, key in self.whole.items():
            if (shape := self.checkpoint.entries[key].shape) != base.shapes[name]:
                wrong.append(f"{name} {list(shape)} instead of {list(base.shapes[name])}")
        return wrong

    def dtype(self, name: str) -> torch.dtype | None:
        key = self.whole.get(name)
        if key is None and name in self.factors:
            key = next(iter(self.factors[name][1].values()))
        if key is None and name in self.fused:
            key = next(iter(self.checkpoint.entries))
        return None if key is None else self.checkpoint.entries[key].dtype

    def difference(self, name: str, start: int, base: Tensor) -> Tensor | None:
        found = None
        if name in self.whole:
            found = self.checkpoint.read(self.whole[name], start, len(base)).to(base.dtype).sub_(base)
        if name in self.fused:
            kept = self._last  # threads ask for slices of several tensors at once
            if kept is None or kept[0] != name:
                self._last = kept = (name, (self.fused[name]().reshape(-1),))
            product = kept[1][0][start : start + len(base)].to(base.dtype)
            found = product if found is None else found.add_(product)
        if name in self.factors:
            left, right = self._rows(name, base.dtype)
            columns = right.shape[1]
            first, last = start // columns, -(-(start + len(base)) // columns)
            product = (left[first:last] @ right).mul_(self.factors[name][0]).view(-1)
            product = product[start - first * columns :][: len(base)]
            found = product if found is None else found.add_(product)
        return found

    def _rows(self, name: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Factors ``[rows, rank]`` and ``[rank, columns]`` of the difference, in the weight's own orientation."""
        last = self._last  # slices of one tensor follow each other
        if last is not None and last[0] == (name, dtype):
            return last[1]
        keys = self.factors[name][1]
        a, b = (self._factor(keys[key]).to(dtype) for key in sorted(keys))
        rows = (b, a) if "A" in keys and not self.transposed else (a.T, b.T)
        self._last = ((name, dtype), rows)
        return rows

    def _factor(self, key: str) -> Tensor:
        return self.checkpoint.read(key).view(self.checkpoint.entries[key].shape)


def open_part(base: Base, source: str | Path, revision: str | None = None) -> Part:
    """A fine-tuned checkpoint or adapter, checked against the base."""
    checkpoint = open_checkpoint(source, revision)
    return Adapter(base, checkpoint) if checkpoint.adapter else Whole(base, base.opened(checkpoint))


def _pattern(patterns: Any, module: str, default: Any) -> Any:
    """The value of the first pattern that ends the module's name, as peft matches them."""
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default
