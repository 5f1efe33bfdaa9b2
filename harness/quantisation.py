"""Arguments that quantise a model while it is loaded, in the form that transformers takes them today."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping
from typing import Any

import torch

from ..core.errors import DetoxbenchError
from ..core.registry import METHODS
from ..core.sampling.settings import boolean
from ..methods.quantised import INSTEAD

BITS = ("load_in_4bit", "load_in_8bit")
"""lm-eval's arguments, which transformers 5 knows no more."""
SETTINGS = ("bnb_4bit_compute_dtype", "bnb_4bit_quant_type", "bnb_4bit_use_double_quant", "bnb_4bit_quant_storage",
            "llm_int8_threshold", "llm_int8_skip_modules", "llm_int8_enable_fp32_cpu_offload",
            "llm_int8_has_fp16_weight")  # fmt: skip
DOUBLE = ("float64", "double", torch.float64)
OTHER_LOADERS = ("autogptq", "gptqmodel")
"""Loaders that give an object of another library."""
CONFIG = "quantization_config"


def configuration(given: dict[str, Any]) -> dict[str, Any] | None:
    """What is asked of a quantiser, taken out of a model's arguments; None for nothing.

    Args:
        given: arguments of ``from_pretrained``; changed.
    """
    own = given.pop(CONFIG, None)
    settings = {name: given.pop(name) for name in (*BITS, *SETTINGS) if name in given}
    bits = {name: True for name in BITS if settings.get(name) is not None and boolean(name, settings[name])}
    if not bits:
        return own
    # It says so for every matrix of every token, and nobody can do anything about it.
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    return {"quant_method": "bitsandbytes", **{name: settings[name] for name in SETTINGS if name in settings}, **bits}


def precision(dtype: Any, config: Any, asked: Any) -> Any:
    """The precision that a model is loaded in: bitsandbytes packs no double one, which ``mini``, for one, is kept in.

    Args:
        dtype: as given.
        config: of the model.
        asked: see ``configuration``.
    """
    if isinstance(asked, Mapping) and asked.get("quant_method") == "bitsandbytes" and dtype in (None, "auto"):
        return "float32" if getattr(config.get_text_config(), "dtype", None) in DOUBLE else dtype
    return dtype


def check(method: str, given: Mapping[str, Any]) -> None:
    """Refuse, before anything is loaded, what cannot be.

    Raises:
        DetoxbenchError: for a library that is not installed, a method that changes weights, or a loader whose models
            are none of transformers'.
    """
    for name in BITS:
        if given.get(name) is not None:
            boolean(name, given[name])
    asked = [name for name in (*BITS, CONFIG) if given.get(name) not in (None, False, "False", "false")]
    loaders = [name for name in OTHER_LOADERS if given.get(name) not in (None, False, "False", "false")]
    if loaders and method != "none":
        raise DetoxbenchError(
            f"{loaders[0]}={given[loaders[0]]}: its models are no models of transformers, so that no method can be put "
            "on them: leave it out, transformers loads GPTQ and AWQ checkpoints itself where their libraries are "
            "installed"
        )
    if len(asked) > 1:
        raise DetoxbenchError(f"{' and '.join(asked)}: give one of them")
    settings = [name for name in SETTINGS if given.get(name) is not None]
    if settings and not any(name in BITS for name in asked):
        raise DetoxbenchError(
            f"{settings[0]}={given[settings[0]]} says how bitsandbytes quantises: give load_in_4bit=True or "
            "load_in_8bit=True with it"
        )
    if not asked:
        return
    if asked[0] in BITS and importlib.util.find_spec("bitsandbytes") is None:
        raise DetoxbenchError(
            f"{asked[0]}={given[asked[0]]} needs the package 'bitsandbytes': pip install bitsandbytes"
        )
    if given.get("dtype") in DOUBLE:
        raise DetoxbenchError(f"dtype=float64: {asked[0]} packs numbers of 16 and 32 bits: give float32, or none")
    if "weight" in METHODS[method].kind.split("+"):
        raise DetoxbenchError(f"method '{method}' changes weights, and {asked[0]} packs them: {INSTEAD}")
