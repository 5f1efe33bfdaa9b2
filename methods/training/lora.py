"""Adapters of low rank (LoRA; Hu et al. 2022) on every linear layer of a model."""

from __future__ import annotations

from typing import Any, Literal

from transformers import PreTrainedModel

from ...core.errors import missing_extra


def adapted(
    model: PreTrainedModel,
    rank: int,
    purpose: str,
    *,
    task: Literal["CAUSAL_LM", "SEQ_CLS"] = "CAUSAL_LM",
    alpha: float | None = None,
    dropout: float = 0.0,
) -> Any:
    """The model with adapters, which alone are trained; of a classifier also its head. ``merge_and_unload`` gives the
    plain model back.

    Args:
        model: any of transformers.
        rank: of the adapters, at least 1.
        purpose: what it is for, for messages.
        task: peft's name of what the model does.
        alpha: an update counts ``alpha / rank``; None for twice the rank.
        dropout: of the adapters' inputs.

    Raises:
        DetoxbenchError: without the package peft.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise missing_extra("peft", "lora", purpose) from error
    alpha = 2 * rank if alpha is None else alpha
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules="all-linear", task_type=task)
    return get_peft_model(model, config)
