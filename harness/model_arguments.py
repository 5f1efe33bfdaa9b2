"""Arguments of the model ``detox``: checked before anything is loaded, each mistake in one line."""

from __future__ import annotations

import contextlib
import importlib.util
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from ..core import hub
from ..core.constants import MINI
from ..core.errors import DetoxbenchError, missing_extra, shown, unknown
from ..core.files import possible
from ..core.registry import METHODS
from ..core.sampling.settings import NAMES, boolean, whole
from ..core.transformers_private import usable_positions
from . import argument_names, placement, quantisation

NEED_BOS = ("gemma",)
"""Beginnings of model types that were trained on texts which all begin with BOS, and that write nonsense without; some
of their tokenizers leave it out."""
_WHOLE = ("max_length", "max_batch_size", "prefix_token_id")
_BOOLEAN = ("parallelize", "truncation", "logits_cache", "trust_remote_code", "use_fast_tokenizer", "add_bos_token",
            "enable_thinking", "gptqmodel")  # fmt: skip
_ERRORS = (OSError, ValueError, TypeError, AssertionError, KeyError, RuntimeError, ImportError,
           AttributeError)  # fmt: skip
_REFUSED = re.compile(r"unexpected keyword argument '(\w+)'")


def positive(name: str, value: Any) -> int | None:
    """A whole number of at least 1, or None.

    Raises:
        DetoxbenchError: for anything else.
    """
    if value is None:
        return None
    found = whole(name, value)
    if found < 1:
        raise DetoxbenchError(f"{name}={shown(value)}: it must be a whole number of at least 1")
    return found


def checked(method: str, pretrained: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of lm-eval's ``hf`` model, with the types that it expects.

    Raises:
        DetoxbenchError: for an argument of another method, a wrong value, a folder that is not there.
    """
    for key in kwargs:
        part, dot, _ = key.partition(".")
        if dot and part in METHODS:
            raise DetoxbenchError(
                f"method '{method}' takes no argument '{key}': it is one of '{part}' in a combination; choose one with "
                f"--model_args method={part}+…,{key}={kwargs[key]}"
            )
    argument_names.check(method, pretrained, kwargs)
    for name, value in {"pretrained": pretrained, **kwargs}.items():
        if isinstance(value, str) and not possible(value):
            raise DetoxbenchError(f"{name}={shown(value, quoted=True)}: no file and no repository can have this name")
    if isinstance(pretrained, str) and pretrained.startswith(("/", ".", "~")) and not Path(pretrained).is_dir():
        raise DetoxbenchError(
            f"pretrained='{pretrained}': there is no such folder; give a model's folder, its name on the hub, "
            f"or '{MINI}'"
        )
    if not isinstance(pretrained, (str, torch.nn.Module)):
        raise DetoxbenchError(
            f"pretrained={shown(pretrained)}: give a model's folder, its name on the hub, or '{MINI}'"
        )
    quantisation.check(method, kwargs)
    found = dict(kwargs)
    for name in _WHOLE:
        if found.get(name) is not None:
            found[name] = whole(name, found[name]) if name == "prefix_token_id" else positive(name, found[name])
    for name in _BOOLEAN:
        if found.get(name) is not None:
            found[name] = boolean(name, found[name])
    size = found.get("batch_size")
    if size is not None and not (isinstance(size, str) and size.startswith("auto")):
        found["batch_size"] = positive("batch_size", size)
    found = placement.checked(pretrained, found)
    if found.get("peft") and importlib.util.find_spec("peft") is None:
        raise missing_extra("peft", "lora", f"peft='{found['peft']}'")
    if found.get("device") is None:
        found["device"] = "cuda" if torch.cuda.is_available() else "cpu"
    return found


def whereabouts(given: Mapping[str, Any]) -> dict[str, Any]:
    """Of the arguments of lm-eval's ``hf`` those that say where in a repository or folder a model lies."""
    return {name: given.get(name) for name in ("revision", "subfolder", "trust_remote_code", "gguf_file")}


@contextlib.contextmanager
def loading(name: str, method: str) -> Iterator[None]:
    """Errors of lm-eval and transformers about a model, in one line; progress of real weights alone.

    Raises:
        DetoxbenchError: with their first line; they themselves are its cause.
    """
    try:
        with hub.quietly(bar=name != MINI):
            yield
    except DetoxbenchError:
        raise
    except _ERRORS as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        if refused := _REFUSED.search(str(error)):
            raise argument_names.refused(refused[1], method) from error
        why = hub.cause(error, name)
        raise DetoxbenchError(f"model '{name}' cannot be loaded as these arguments ask: {why}") from error


def check_backend(name: str, backend: str) -> None:
    """Refuse an encoder-decoder.

    Raises:
        DetoxbenchError: naming it.
    """
    if backend != "causal":
        raise DetoxbenchError(f"model '{name}' is an encoder-decoder: 'detox' continues texts with causal LMs")


def unwrapped(model: Any, method: str) -> Any:
    """The model that a method changes: an adapter of peft is merged into it. Without a method it stays beside it, in
    its own precision.

    Raises:
        DetoxbenchError: for an adapter that cannot be merged, or that is a prompt (its positions are not the text's).
    """
    configs = getattr(model, "peft_config", None)
    if not configs or not hasattr(model, "get_base_model"):
        return model
    kind = next(iter(configs.values()))
    if getattr(kind, "is_prompt_learning", False):
        raise DetoxbenchError(
            f"peft: an adapter of type {kind.peft_type} puts virtual tokens first: 'detox' takes LoRA alone"
        )
    if method == "none":
        return model
    if not hasattr(model, "merge_and_unload"):
        raise DetoxbenchError(f"peft: an adapter of type {kind.peft_type} cannot be merged: no method can be put on it")
    return model.merge_and_unload()


def positions(model: Any, limit: int) -> int:
    """Positions that a text may take.

    Args:
        model: detoxified or not.
        limit: the base model's by its configuration, or the user's.
    """
    found = min(limit, usable_positions(model) or limit)
    for stream in getattr(model, "streams", {}).values():
        found = min(found, (usable_positions(stream.model) or limit) - stream.room)
    return found


def needs_bos(config: Any) -> bool:
    """Whether every text must begin with BOS."""
    return str(getattr(config, "model_type", "")).startswith(NEED_BOS)


def of_transformers(given: Mapping[str, Any]) -> dict[str, Any]:
    """Generation settings that only transformers' ``generate`` knows.

    Raises:
        DetoxbenchError: for a name that nothing knows.
    """
    allowed = set(vars(GenerationConfig())) | NAMES
    others = {name: value for name, value in given.items() if name not in NAMES and value is not None}
    for name in others:
        if name not in allowed or name.startswith("_"):
            raise unknown(
                "generation setting", name, NAMES | {"num_beams", "repetition_penalty", "no_repeat_ngram_size"}
            )
    return others
