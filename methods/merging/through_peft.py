"""LoRA adapters of what transformers has fused in memory: a mixture's experts, one tensor for all of them.

Such an adapter was trained on the fused tensor itself (peft's ``target_parameters``), or on each expert's own matrices
before transformers fused them. peft knows both: it puts the adapter on a model without weights, and gives the
difference of each tensor in memory; transformers' conversion takes it apart again for a checkpoint that holds every
expert by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ...core.errors import DetoxbenchError, missing_extra
from ...core.transformers_private import conversions
from .checkpoint import Checkpoint

if TYPE_CHECKING:
    from .align import Base

Difference = Callable[[], Tensor]


def differences(base: Base, checkpoint: Checkpoint, absent: Collection[str]) -> dict[str, Difference]:
    """Name of the base's tensor -> what makes its difference, of its shape, for each that the adapter changes; empty
    where it is no such adapter.

    Args:
        base: what it is added to.
        checkpoint: the adapter.
        absent: names of the weights that it adapts and that the base has not.

    Raises:
        DetoxbenchError: where peft is not there, or does not take the adapter.
    """
    skeleton = base.skeleton() if base.skeleton is not None else None
    if skeleton is None:
        return {}
    if not checkpoint.config.get("target_parameters") and not any(
        one.converter is not None for one in conversions(skeleton, absent)
    ):
        return {}
    in_memory = _in_memory(skeleton, checkpoint)
    if in_memory.keys() <= base.shapes.keys():
        return in_memory
    found: dict[str, Difference] = {}
    for one in conversions(skeleton, base.shapes):
        targets = _targets(skeleton, base, one)
        if not targets.keys() & in_memory.keys():
            continue
        made = _Once(lambda one=one, targets=targets: one.revert(
            skeleton, {name: in_memory[name]() if name in in_memory else torch.zeros(shape)
                       for name, shape in targets.items()}
        ))  # fmt: skip
        for source, _ in one.sources:
            found[source] = lambda made=made, source=source: made()[source]
    return found


class _Once:
    """The last result is kept: the tensors of one conversion are asked for one after the other.

    One at a time: threads write the slices of a checkpoint, and transformers' conversion is not made for several.
    """

    _kept: tuple[Any, dict[str, Tensor]] | None = None
    _lock = threading.Lock()

    def __init__(self, make: Callable[[], dict[str, Tensor]]):
        self.make = make

    def __call__(self) -> dict[str, Tensor]:
        with _Once._lock:
            if _Once._kept is None or _Once._kept[0] is not self:
                _Once._kept = (self, self.make())
            return _Once._kept[1]


def _targets(skeleton: PreTrainedModel, base: Base, one: Any) -> dict[str, torch.Size]:
    """Names and shapes in memory of the tensors that a conversion makes."""
    try:
        made = one.convert(skeleton, lambda name: torch.empty(base.shapes[name], device="meta"))
    except (RuntimeError, ValueError, KeyError, IndexError, TypeError):
        return {}
    return {name: tensor.shape for name, tensor in made.items()}


def _in_memory(skeleton: PreTrainedModel, checkpoint: Checkpoint) -> dict[str, Difference]:
    """Name in memory -> difference, of every tensor with LoRA factors.

    Args:
        skeleton: on the meta device; it is changed.
    """
    try:
        from peft import PeftConfig, PeftModel
        from peft.utils.save_and_load import load_peft_weights, set_peft_model_state_dict
    except ImportError:
        raise missing_extra("peft", "lora", f"the adapter '{checkpoint.name}' of fused experts") from None
    try:
        adapted = PeftModel(skeleton, PeftConfig.from_pretrained(str(checkpoint.folder)), low_cpu_mem_usage=True)  # type: ignore[arg-type]
        for module in adapted.modules():
            if hasattr(module, "_move_adapter_to_device_of_base_layer"):
                # The base has no weights; the adapter's stay where they are.
                module._move_adapter_to_device_of_base_layer = lambda *_, **__: None  # type: ignore[assignment]
        weights = load_peft_weights(str(checkpoint.folder), device="cpu")
        found = set_peft_model_state_dict(adapted, weights, low_cpu_mem_usage=True)
    except (ValueError, KeyError, RuntimeError, TypeError, AttributeError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DetoxbenchError(f"adapter '{checkpoint.name}': peft cannot put it on the base model: {first}") from error
    if found.unexpected_keys:
        return {}  # what they are is said where names are compared
    differences: dict[str, Difference] = {}
    for path, module in adapted.get_base_model().named_modules():
        if not hasattr(module, "get_delta_weight"):
            continue
        owner = path.replace(".base_layer", "")
        parameter = getattr(module, "parameter_name", None)
        if parameter is not None:
            module.get_param = lambda: torch.empty(0)  # type: ignore[assignment]  # asked for its device alone
        differences[f"{owner}.{parameter or 'weight'}"] = lambda module=module: module.get_delta_weight("default")
    return differences
