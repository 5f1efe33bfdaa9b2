"""Quantised base models: which they are, and what methods cannot do with them."""

from __future__ import annotations

from transformers import PreTrainedModel

from ..core.errors import DetoxbenchError
from .base import Method

INSTEAD = (
    "put it on the model that was quantised (detoxbench export writes a checkpoint, which can be quantised then); "
    "methods that change hidden states or scores work on a quantised model"
)
WIDENED = "gguf"
"""The quantiser whose files transformers unpacks while it reads them."""


def how(model: PreTrainedModel) -> str | None:
    """The quantiser of a loaded model (``bitsandbytes``, ``gptq``, ``awq``, …); None for one whose weights are numbers
    of the usual kinds. GGUF files are not: they are widened as they are loaded."""
    quantiser = getattr(model, "hf_quantizer", None)
    if quantiser is None and not getattr(model, "is_quantized", False):
        return None
    settings = getattr(quantiser, "quantization_config", None) or getattr(model.config, "quantization_config", None)
    named = getattr(settings, "quant_method", None) or (
        settings.get("quant_method") if isinstance(settings, dict) else ""
    )
    found = str(getattr(named, "value", named) or "quantised")
    return None if found == WIDENED else found


def refuse_edits(model: PreTrainedModel, kind: type[Method]) -> None:
    """A change of weights is smaller than what quantising rounds, and packed integers have no place for it.

    Raises:
        DetoxbenchError: for a quantised model, saying what can be done instead.
    """
    if (named := how(model)) is not None:
        raise DetoxbenchError(
            f"{kind.__name__} changes weights, and those of base model '{model.name_or_path}' are packed by {named}: "
            f"{INSTEAD}"
        )
