"""What a detoxification method is: three small protocols and the checking of their arguments.

A **logit** method changes next-token scores, a **weight** method changes a model's parameters before it is used, a
**prompt** method puts a text in front. ``none`` is the base model. Register one in ``core/registry.py``, or from
another package through the entry-point group ``detoxbench.methods``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import pydantic
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..core.errors import DetoxbenchError, unknown


class Arguments(pydantic.BaseModel):
    """The arguments of a method, typed, with defaults and bounds; anything else is an error."""

    model_config = pydantic.ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True, protected_namespaces=()
    )


@dataclass(frozen=True)
class Auxiliary:
    """A model that runs beside the base model, on the same tokens, with a key/value cache of its own.

    Args:
        model: called like a causal LM; its ``logits`` ``[batch, pos, vocab]`` are what the method sees.
        prefix: token ids that this model alone reads before the text.
    """

    model: nn.Module
    prefix: Sequence[int] = ()


@dataclass(frozen=True)
class Streams:
    """What a logit method sees at some positions, beside the base model's scores.

    Args:
        hidden: base-model key-layer states ``[rows, dim]``; None unless the method names a ``key_layer``.
        outputs: auxiliary's name -> its output ``[rows, vocab]``, in its own precision.
    """

    hidden: Tensor | None = None
    outputs: Mapping[str, Tensor] = field(default_factory=dict)


class Method(Protocol):
    """A registered method, whichever its kind; made from the loaded base model and its checked arguments."""

    kind: ClassVar[str]
    Arguments: ClassVar[type[Arguments]]


class LogitMethod(Protocol):
    """A function of the base model's scores, its hidden states and auxiliary models' scores. Holds no state.

    Attributes:
        truncates: the scores are -inf outside a nucleus when ``filtering``, so the sampler needs no top-p.
        key_layer: name of the base module whose input is wanted as ``Streams.hidden``.
        auxiliaries: name -> model that runs beside the base model.
    """

    kind: ClassVar[str] = "logit"
    Arguments: ClassVar[type[Arguments]] = Arguments
    truncates: bool = False
    key_layer: str | None = None
    auxiliaries: Mapping[str, Auxiliary] = MappingProxyType({})

    def __init__(self, model: PreTrainedModel, arguments: Any) -> None: ...

    def scores(self, base: Tensor, streams: Streams, filtering: bool) -> Tensor:
        """Float32 scores ``[rows, vocab]`` to scores of that shape; rows are positions, independent of each other.
        ``base`` may be overwritten."""
        ...


class WeightMethod(Protocol):
    """A change of the base model's parameters, streamed one tensor at a time."""

    kind: ClassVar[str] = "weight"
    Arguments: ClassVar[type[Arguments]] = Arguments

    def __init__(self, model: PreTrainedModel, arguments: Any) -> None: ...

    def weight(self, name: str, base: Tensor) -> Tensor:
        """The new value of a parameter or buffer, of the shape of ``base``, which is left alone."""
        ...


class PromptMethod(Protocol):
    """Token ids that the base model reads before every text."""

    kind: ClassVar[str] = "prompt"
    Arguments: ClassVar[type[Arguments]] = Arguments
    prefix: Sequence[int] = ()

    def __init__(self, model: PreTrainedModel, arguments: Any) -> None: ...


def parse_arguments(name: str, method: type[Method], given: Mapping[str, Any]) -> Arguments:
    """The checked arguments of a method; loads nothing.

    Raises:
        DetoxbenchError: for an unknown name (with the nearest known one) or a value out of bounds.
    """
    fields = method.Arguments.model_fields
    for key in given:
        if key not in fields:
            raise unknown(f"argument of method '{name}'", key, fields or ["(none)"])
    try:
        return method.Arguments(**given)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        value = "" if first["type"] == "missing" else f"={first['input']!r}"
        raise DetoxbenchError(f"method '{name}', argument {where}{value}: {first['msg']}") from None
