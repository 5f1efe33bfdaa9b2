"""What we touch of transformers beyond its documented interface, each thing behind a function with a name.

``tests/core/test_transformers_private.py`` fails where a release changes one of them.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache, DynamicLayer, LinearAttentionCacheLayerMixin
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    WeightConverter,
    WeightRenaming,
    dot_natural_key,
    rename_source_key,
    revert_weight_conversion,
)
from transformers.modeling_outputs import CausalLMOutputWithPast

CACHE_FIELD = next(name for name in ("cache", "past_key_values") if name in CausalLMOutputWithPast.__dataclass_fields__)
"""The field of outputs that holds keys and values: ``past_key_values`` until 5.23, ``cache`` since."""
OWN_CACHE = ("minimax", "xlstm")
"""Types of models that take no cache but one of their own kind."""
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


def first_position(model: Any) -> int:
    """The position of a text's first token, for a model that is given positions: 0, but for those of RoBERTa's kind,
    which count from behind their padding token's id. Detoxified models count from 0, and say so (``first_position``).
    """
    inner = innermost(model)
    own = getattr(inner, "first_position", None)
    if isinstance(own, int):
        return own
    for module in inner.modules() if isinstance(inner, nn.Module) else ():
        # M2M-100's sinusoidal tables count so by themselves, and have no matrix.
        embeddings = getattr(module, "position_embeddings", None)
        if hasattr(module, "create_position_ids_from_input_ids") and isinstance(embeddings, nn.Embedding):
            padding = embeddings.padding_idx
            return 0 if padding is None else padding + 1
    return 0


def usable_positions(model: Any) -> int | None:
    """Tokens that a text may have, by the model's configuration; None where that sets no bound.

    Models of RoBERTa's kind spend the first rows of their table of positions on padding: 514 rows are 512 tokens.
    """
    inner = innermost(model)
    config = inner.config.get_text_config()
    rows = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if not isinstance(rows, int):
        return None
    for module in inner.modules() if isinstance(inner, nn.Module) else ():
        padding = getattr(getattr(module, "position_embeddings", None), "padding_idx", None)
        if isinstance(padding, int):
            return rows - padding - 1
    return rows


def cache_argument(names: Collection[str], cache: Any) -> dict[str, Any]:
    """A cache under the name that a forward of these arguments takes it by."""
    return {"cache" if "cache" in names else "past_key_values": cache}


def cache_of(output: Any) -> Any:
    """The cache of a model's output; None of one that keeps none."""
    fields = {field.name for field in dataclasses.fields(output)}
    return getattr(output, "cache" if "cache" in fields else "past_key_values", None)


def keeps_cache(model: Any) -> bool:
    """Whether a model goes on from a cache of transformers' common kind. The first GPT and XLNet do not."""
    inner = innermost(model)
    own = getattr(getattr(inner, "config", None), "model_type", None) in OWN_CACHE
    return not own and not {"cache", "past_key_values"}.isdisjoint(accepted(inner))


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


def is_recurrent(layer: Any) -> bool:
    """Whether a layer of a cache holds recurrent (linear-attention, state-space) states, alone or beside keys."""
    return isinstance(layer, LinearAttentionCacheLayerMixin)


def recurrent_rows(layer: Any) -> int:
    """Rows of the states of a layer for which ``is_recurrent`` holds; 0 before there are any."""
    states = [*layer.conv_states.values(), *layer.recurrent_states.values()]
    return next((len(one) for one in states if one is not None), 0)


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
