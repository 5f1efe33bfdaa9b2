"""Arguments of ``--model_args backend=vllm``: which are vLLM's, which are ours, and which have no meaning there."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

from ...core.errors import DetoxbenchError, missing_extra, shown, unknown
from ...core.registry import METHODS, PLUS
from ...core.sampling.settings import NAMES, boolean, number, whole
from ...methods.artifact_arguments import declared
from ...methods.base import SelectionMethod
from ...methods.export import exportable

BACKEND = "vllm"
BACKENDS = ("default", "causal", "seq2seq", BACKEND)
"""Values of ``backend``: the others are lm-eval's, for a model of transformers."""
_WHOLE = ("tensor_parallel_size", "pipeline_parallel_size", "max_num_seqs", "max_num_batched_tokens", "block_size",
          "kv_cache_memory_bytes")  # fmt: skip
_NUMBERS = ("gpu_memory_utilization", "cpu_offload_gb")
_BOOLEAN = ("enforce_eager", "enable_prefix_caching")
_TEXTS = ("quantization", "kv_cache_dtype", "load_format", "download_dir")
ENGINE = (*_WHOLE, *_NUMBERS, *_BOOLEAN, *_TEXTS)
"""Arguments that go to vLLM's engine as they are."""
_SHARED = frozenset((
    "revision", "tokenizer", "dtype", "max_length", "use_fast_tokenizer", "add_bos_token",
    "prefix_token_id", "truncation", "chat_template_args", "batch_size", "max_batch_size", "device",
))  # fmt: skip
"""Of lm-eval's ``hf`` those that mean the same here; the last three, which lm-eval itself passes on, mean nothing."""


def engine(
    backend: Any, method: str, pretrained: Any, given: Mapping[str, Any], max_batch_tokens: Any
) -> dict[str, Any] | None:
    """The arguments of vLLM's engine; None for another backend.

    Args:
        backend: as given.
        method: a registered one.
        pretrained: folder, hub name or ``mini``.
        given: the arguments that are not the method's, nor the model ``detox``'s own.
        max_batch_tokens: bound of our own sampler's batches.

    Raises:
        DetoxbenchError: for an unknown backend; where vLLM is not installed, for a method that does not run in it, and
            for an argument that has no meaning there; for an argument of vLLM's without it.
    """
    if backend not in BACKENDS:
        raise unknown("backend", backend, BACKENDS)
    theirs = {name: _typed(name, given[name]) for name in ENGINE if given.get(name) is not None}
    if backend != BACKEND:
        if theirs:
            name = next(iter(theirs))
            raise DetoxbenchError(f"{name}={shown(given[name])} is an argument of vLLM's engine: add backend=vllm")
        return None
    check_method(method)
    if not isinstance(pretrained, str):
        raise DetoxbenchError(
            f"backend=vllm loads a checkpoint itself: pretrained={shown(pretrained)} must be a folder, a name on the "
            "hub, or 'mini'"
        )
    if max_batch_tokens is not None:
        raise DetoxbenchError(
            f"max_batch_tokens={shown(max_batch_tokens)} bounds batches of our own sampler: with backend=vllm give "
            "max_num_batched_tokens or max_num_seqs, or nothing"
        )
    for name, value in given.items():
        if name not in _SHARED and name not in ENGINE and value not in (None, False, "False", "false"):
            raise DetoxbenchError(
                f"backend=vllm takes no argument '{name}'; allowed are {', '.join(sorted(_SHARED))}, and of vLLM's "
                f"own {', '.join(sorted(ENGINE))}: leave it out, or leave out backend=vllm"
            )
    if importlib.util.find_spec("vllm") is None:
        raise missing_extra("vllm", "vllm", "backend=vllm")
    return theirs


def check_method(method: str) -> None:
    """Refuse a method that changes what the model says token by token.

    Raises:
        DetoxbenchError: naming it.
    """
    for one in method.split(PLUS):
        kind = declared(one)
        if kind.kind != "none" and not exportable(one) and not issubclass(kind, SelectionMethod):
            fit = ", ".join(name for name in METHODS if exportable(name) or issubclass(METHODS[name], SelectionMethod))
            raise DetoxbenchError(
                f"method '{one}' runs beside the model at every token, which vLLM has no place for; backend=vllm "
                f"takes none, {fit}: leave out backend=vllm"
            )


def of_transformers_alone(settings: Mapping[str, Any]) -> DetoxbenchError:
    """The error for generation settings that transformers' own ``generate`` alone knows."""
    return DetoxbenchError(
        f"{', '.join(settings)}: settings of transformers' generate, which backend=vllm does not know; allowed are "
        f"{', '.join(sorted(NAMES))}: leave the others out, or backend=vllm"
    )


def _typed(name: str, value: Any) -> Any:
    if name in _WHOLE:
        found = whole(name, value)
        if found < 1:
            raise DetoxbenchError(f"{name}={shown(value)}: it must be a whole number of at least 1")
        return found
    if name in _NUMBERS:
        return number(name, value)
    return boolean(name, value) if name in _BOOLEAN else str(value)
