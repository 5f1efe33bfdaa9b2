"""Everything that the texts of a run depend on, beside its prompts: what a journal of finished prompts is known by."""

from __future__ import annotations

import inspect
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch

from .. import core, methods
from ..core.files import fingerprint
from ..core.folders import cache_folder
from ..core.registry import METHODS, PLUS
from ..core.transformers_private import commit
from ..core.versions import NUMERIC, VLLM, installed
from ..methods.identity import ModelIdentity
from .sweep.content import Contents

PACKAGES = (*NUMERIC, "accelerate", "bitsandbytes", "faiss-cpu", "faiss-gpu", "gguf", "optimum", "peft", "safetensors",
            "sentencepiece", "torchao", *VLLM)  # fmt: skip
PLAIN = (str, int, float, bool, type(None), Path, torch.dtype, torch.device)


def of_model(
    model: Any, pretrained: object, method: str, arguments: Mapping[str, Any], loading: Mapping[str, Any]
) -> dict[str, Any] | None:
    """What the scores of a loaded model depend on.

    Args:
        model: as it is sampled from, under its method.
        pretrained: what it was loaded from.
        method: a registered method.
        arguments: of the method, those that were completed for ``mini`` among them.
        loading: arguments of lm-eval's ``hf`` model.

    Returns:
        As JSON can hold it, files and folders as hashes of their content; None where something was given as an object,
        whose content is not known.
    """
    given = {"pretrained": pretrained, "arguments": dict(arguments), "loading": dict(loading)}
    if not _plain(given):
        return None
    contents = Contents(cache_folder() / "contents.json")
    known = contents.of(_absolute({**given, "pretrained": None}))
    known["pretrained"] = contents.model(str(pretrained))
    contents.save()
    parts = {"model": model, **{name: one.model for name, one in getattr(model, "streams", {}).items()}}
    return {
        **known,
        "method": method,
        "commits": {name: commit(part) for name, part in parts.items() if hasattr(part, "config")},
        # A few numbers of the weights as they are: whatever changed them after they were loaded.
        "weights": fingerprint(ModelIdentity.of(model).weights) if hasattr(model, "named_parameters") else None,
        "dtype": str(model.dtype),
        "device": torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else model.device.type,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), **installed(PACKAGES)},
        "sources": _sources(method),
    }


def _plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_plain(one) for one in value.values())
    if isinstance(value, list | tuple):
        return all(_plain(one) for one in value)
    return isinstance(value, PLAIN)


def _absolute(value: Any) -> Any:
    """Names of files and folders that exist as absolute paths, which ``Contents`` hashes."""
    if isinstance(value, Mapping):
        return {name: _absolute(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_absolute(one) for one in value]
    if isinstance(value, str | Path) and str(value):
        try:
            path = Path(value).expanduser()
            return str(path.resolve()) if path.exists() else str(value)
        except (OSError, RuntimeError, ValueError):  # a text, or no home folder
            return str(value)
    return value if isinstance(value, bool | int | float | type(None)) else str(value)


@cache
def _sources(method: str) -> str:
    """Of our own code and the method's: a version does not change between two commits."""
    folders = [Path(inspect.getfile(one)).parent for one in (core, methods)]
    files = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    files += [
        *sorted(Path(__file__).parent.glob("*.py")),
        *sorted((Path(__file__).parent / "by_vllm").glob("*.py")),
        *(Path(inspect.getfile(METHODS[one])) for one in method.split(PLUS)),
    ]
    return fingerprint([Contents().of(str(path.resolve())) for path in files])
