"""What we touch of transformers beyond its documented interface, each thing behind a function with a name.

``tests/core/test_transformers_private.py`` fails where a release changes one of them.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Collection
from typing import Any

from transformers.cache_utils import DynamicCache, DynamicLayer
from transformers.modeling_outputs import CausalLMOutputWithPast

CACHE_FIELD = next(name for name in ("cache", "past_key_values") if name in CausalLMOutputWithPast.__dataclass_fields__)
"""The field of outputs that holds keys and values: ``past_key_values`` until 5.23, ``cache`` since."""
_WRAPPED = ("module", "_orig_mod")
"""Where DistributedDataParallel and ``torch.compile`` keep the model that they wrap."""


def innermost(model: Any) -> Any:
    """The model within adapters of peft, DistributedDataParallel and ``torch.compile``, whose forwards take anything
    and hand it on."""
    while True:
        if hasattr(model, "peft_config") and hasattr(model, "get_base_model"):
            inner = model.get_base_model()
        else:
            inner = next((getattr(model, name) for name in _WRAPPED if hasattr(model, name)), model)
        if inner is model:
            return model
        model = inner


def accepted(model: Any) -> frozenset[str]:
    """Names of the arguments of a model's forward, whatever is around it."""
    return frozenset(inspect.signature(innermost(model).forward).parameters)


def cache_argument(names: Collection[str], cache: Any) -> dict[str, Any]:
    """A cache under the name that a forward of these arguments takes it by."""
    return {"cache" if "cache" in names else "past_key_values": cache}


def cache_of(output: Any) -> Any:
    """The cache of a model's output."""
    fields = {field.name for field in dataclasses.fields(output)}
    return getattr(output, "cache" if "cache" in fields else "past_key_values")


def causal_output(logits: Any, cache: Any, loss: Any = None) -> CausalLMOutputWithPast:
    """The output of a causal LM."""
    return CausalLMOutputWithPast(loss=loss, logits=logits, **{CACHE_FIELD: cache})


def use_layers(cache: DynamicCache, kind: type[DynamicLayer]) -> DynamicCache:
    """The cache with layers of another kind in place of plain ones, those that it has and those that it will add;
    sliding-window and other special layers keep their own."""
    if cache.layer_class_to_replicate is DynamicLayer:
        cache.layer_class_to_replicate = kind
    cache.layers = [kind() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def attention_choices(config: Any) -> dict[str, Any]:
    """Which implementations of attention (and experts) a config has chosen; see ``restore_attention``."""
    return {name: value for name, value in vars(config).items() if name.endswith("_implementation_internal")}


def restore_attention(config: Any, choices: dict[str, Any]) -> None:
    """Undo what a wrapper's constructor changes in the config that it shares with the wrapped model: transformers
    adjusts it to what the wrapper's class is said to support."""
    vars(config).update(choices)


def commit(model: Any) -> str | None:
    """The commit on the hub that a model was loaded from; None for a folder."""
    return getattr(model.config, "_commit_hash", None)
