"""Names of the arguments of ``--model_args``: lm-eval hands those that it does not know on to transformers, which
either refuses them after minutes of loading or, worse, keeps them without a word."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lm_eval.models.huggingface import HFLM

from ..core.errors import DetoxbenchError
from ..core.mini import model_folder
from ..core.parsing import parse_json
from ..core.registry import METHODS

OURS = ("pretrained", "method", "seed", "max_batch_tokens", "filter_loglikelihood", "align_nucleus",
        "max_thinking_toks", "backend")  # fmt: skip
TRANSFORMERS = frozenset((
    "attn_implementation", "bnb_4bit_compute_dtype", "bnb_4bit_quant_storage", "bnb_4bit_quant_type",
    "bnb_4bit_use_double_quant", "cache_dir", "code_revision", "config", "device_map", "dtype",
    "experts_implementation", "force_download", "ignore_mismatched_sizes", "key_mapping",
    "llm_int8_enable_fp32_cpu_offload",
    "llm_int8_has_fp16_weight", "llm_int8_skip_modules", "llm_int8_threshold", "load_in_4bit", "load_in_8bit",
    "local_files_only", "low_cpu_mem_usage", "max_memory", "offload_buffers", "offload_folder", "offload_state_dict",
    "proxies", "quantization_config", "token", "torch_dtype", "use_kernels", "use_safetensors", "variant",
    "weights_only",
))  # fmt: skip
"""Arguments of ``from_pretrained`` that nothing here may take for a misspelt name. It takes any setting of the model's
configuration too."""
ALIKE = 0.8
"""Likeness from which on an unknown name is taken for a misspelt one (``aplha``, ``metod``)."""


def check(method: str, pretrained: Any, given: Mapping[str, Any]) -> None:
    """Refuse misspelt names, and arguments of another method.

    Args:
        method: a registered one.
        pretrained: folder, hub name, ``mini`` or a model.
        given: the arguments that neither this method nor the model ``detox`` itself takes.

    Raises:
        DetoxbenchError: naming the nearest one.
    """
    known = _of_hf() | TRANSFORMERS | _of_config(pretrained)
    for name, value in given.items():
        if name in known:
            continue
        if owners := _owners(name):
            raise DetoxbenchError(
                f"method '{method}' takes no argument '{name}': it belongs to {', '.join(owners)}; "
                f"choose one with --model_args method=…,{name}={value}"
            )
        if near := _nearest(name, method):
            raise _unknown(name, method, near)


def refused(name: str, method: str) -> DetoxbenchError:
    """The error for an argument that transformers refused in the end."""
    return _unknown(name, method, _nearest(name, method))


def _unknown(name: str, method: str, near: str | None) -> DetoxbenchError:
    guess = ""
    if near is not None:
        owners = [] if near in _known(method) else _owners(near)
        guess = f"did you mean '{near}'{' of ' + ', '.join(owners) if owners else ''}? "
    mine = ", ".join(METHODS[method].Arguments.model_fields)
    of_method = f"; those of method '{method}': {mine}" if mine else ""
    return DetoxbenchError(
        f"unknown argument '{name}' in --model_args: {guess}Allowed: {', '.join(OURS)}{of_method}; and what lm-eval's "
        "hf takes"
    )


def _nearest(name: str, method: str) -> str | None:
    """The nearest known name; one that can be used with this method before one of another method."""
    for names in (_known(method), {field for other in METHODS for field in METHODS[other].Arguments.model_fields}):
        if found := difflib.get_close_matches(name, sorted(names), n=1, cutoff=ALIKE):
            return found[0]
    return None


def _known(method: str) -> set[str]:
    return {*OURS, *METHODS[method].Arguments.model_fields, *_of_hf()}


def _of_hf() -> frozenset[str]:
    return frozenset(inspect.signature(HFLM.__init__).parameters) - {"self", "kwargs"}


def _of_config(pretrained: Any) -> set[str]:
    """Settings of the model's configuration, as far as it can be read here; ``from_pretrained`` takes them."""
    if not isinstance(pretrained, str):
        return set()
    try:
        found = parse_json((Path(model_folder(pretrained)) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return set(found) if isinstance(found, dict) else set()


def _owners(name: str) -> list[str]:
    return [method for method in METHODS if name in METHODS[method].Arguments.model_fields]
