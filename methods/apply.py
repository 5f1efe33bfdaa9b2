"""A method put on a model."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from transformers import PreTrainedModel

from ..core.registry import METHODS
from . import base, preflight, quantised
from .combining.names import check_made
from .first_use import is_mini, with_artifacts
from .identity import ModelIdentity, remember
from .lm import DetoxifiedLM
from .loading import load_model


def check_method(method: str = "none", **arguments: Any) -> None:
    """Refuse a wrong method name or argument before any model is loaded.

    Raises:
        DetoxbenchError: saying what was given and what is allowed.
    """
    base.parse_arguments(method, METHODS[method], arguments)


def load_detoxified(
    pretrained: str | PreTrainedModel,
    method: str = "none",
    *,
    filtering: bool = True,
    model_args: Mapping[str, Any] | None = None,
    in_place: bool = False,
    **arguments: Any,
) -> PreTrainedModel:
    """A causal LM whose scores are those of ``pretrained`` under a detoxification method.

    Args:
        pretrained: folder, hub name, ``mini``, or a loaded model.
        method: a registered method.
        filtering: see ``DetoxifiedLM``.
        model_args: of the base model's ``from_pretrained`` (``dtype``, ``device_map``, ``revision``); the method's
            other models follow its precision and device.
        in_place: let a weight method change a loaded model itself, which saves a copy of it.
        arguments: the method's own.

    Raises:
        DetoxbenchError: for an unknown method, a wrong argument, or an artifact that does not fit the model.
    """
    kind = METHODS[method]
    parsed = base.parse_arguments(method, kind, arguments)
    model = pretrained
    if not isinstance(pretrained, PreTrainedModel):
        preflight.check(method, arguments, pretrained, (model_args or {}).get("revision"))
        model = load_model(pretrained, "base model", **{"dtype": "auto", **(model_args or {})})
    if kind.kind == "none":
        return model
    if is_mini(model):
        parsed = base.parse_arguments(method, kind, with_artifacts(method, arguments))
    several = kind.applied(parsed)
    for cls, given in several:
        if issubclass(cls, base.WeightMethod):
            if not in_place and model is pretrained:
                model = copy.deepcopy(model)
            model = _reweighted(model, cls, given)
    made = [cls(model, given) for cls, given in several if not issubclass(cls, base.WeightMethod)]
    if not made:
        return model
    logit = [one for one in made if isinstance(one, base.LogitMethod)]
    check_made(method, logit)
    return DetoxifiedLM(
        model,
        logit,
        activation=[one for one in made if isinstance(one, base.ActivationMethod)],
        prefix=next((one.prefix for one in made if isinstance(one, base.PromptMethod)), ()),
        selection=next((one for one in made if isinstance(one, base.SelectionMethod)), None),
        filtering=filtering,
    )


@torch.no_grad()
def _reweighted(model: PreTrainedModel, kind: type[base.WeightMethod], arguments: Any) -> PreTrainedModel:
    """The model with every parameter and buffer changed in place, shared ones once."""
    quantised.refuse_edits(model, kind)
    before = ModelIdentity.before_edits(model)
    method = kind(model, arguments)
    done: set[int] = set()
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in done:
            done.add(tensor.data_ptr())
            tensor.copy_(method.weight(name, tensor))
    remember(model, before)
    return model
