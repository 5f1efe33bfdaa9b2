"""Which file of a model is loaded, in which precision and onto which devices: arguments that lm-eval takes without a
look, or drops without a word."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..core.errors import DetoxbenchError, shown, unknown
from ..core.files import possible
from ..core.mini import model_folder

SPREAD = ("auto", "balanced", "balanced_low_0", "sequential")
"""Of ``device_map``: how accelerate spreads a model."""
PRECISIONS = ("auto", "float32", "bfloat16", "float16", "float64")
MAIN = "main"


def checked(pretrained: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, with a ``device_map`` in the way in which lm-eval follows it.

    Args:
        pretrained: folder, hub name, ``mini`` or a model.
        given: arguments of lm-eval's ``hf`` model.

    Raises:
        DetoxbenchError: for a precision, device, revision or file that there is not.
    """
    if "dtype" in given:
        given = {**given, "dtype": _precision(given["dtype"])}
    folder = Path(model_folder(pretrained)) if isinstance(pretrained, str) else None
    if folder is not None and folder.is_dir():
        _revision(pretrained, given.get("revision"))
        _file(folder, given.get("gguf_file"))
    return _placed(dict(given))


def _precision(dtype: Any) -> Any:
    """As lm-eval takes it: a name without its module, or torch's own."""
    if dtype is None or dtype in PRECISIONS:
        return dtype
    kind = dtype if isinstance(dtype, torch.dtype) else getattr(torch, shown(dtype).removeprefix("torch."), None)
    if not isinstance(kind, torch.dtype) or not kind.is_floating_point:
        raise unknown("dtype", shown(dtype), PRECISIONS)
    return kind


def _revision(pretrained: str, revision: Any) -> None:
    if revision not in (None, MAIN):
        raise DetoxbenchError(
            f"revision={shown(revision)}: '{pretrained}' is a folder, which has no revisions: leave it out, or give "
            "the model's name on the hub"
        )


def _file(folder: Path, name: Any) -> None:
    if name is None or (isinstance(name, str) and possible(name) and (folder / name).is_file()):
        return
    there = ", ".join(sorted(path.name for path in folder.glob("*.gguf"))) or "no GGUF file"
    raise DetoxbenchError(f"gguf_file={shown(name)}: there is no such file in '{folder}'; it has {there}")


def _placed(given: dict[str, Any]) -> dict[str, Any]:
    """lm-eval follows ``device_map`` with ``parallelize`` alone."""
    wanted = given.pop("device_map", None)
    if isinstance(wanted, str) and wanted not in SPREAD:
        given["device"] = given.get("device") or _device(wanted)
    elif wanted is not None and (torch.cuda.is_available() or not isinstance(wanted, str)):
        given |= {"parallelize": True, "device_map": wanted}
    if given.get("parallelize") and not torch.cuda.is_available():
        what = "parallelize=True" if wanted is None else f"device_map={shown(wanted)}"
        raise DetoxbenchError(f"{what} spreads a model over GPUs, and there is none here: leave it out")
    return given


def _device(name: str) -> str:
    try:
        kind = torch.device(name).type
    except RuntimeError:
        raise DetoxbenchError(
            f"device_map={shown(name)}: allowed are {', '.join(SPREAD)}, or a device such as cpu or cuda:0"
        ) from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise DetoxbenchError(f"device_map={shown(name)}: there is no GPU here")
    return name


LARGE = 50_000_000
"""Parameters from which on products of matrices take most of the time."""


def slower_than_need_be(model: Any) -> str:
    """What to say of a model in single precision on a processor that multiplies bfloat16 in hardware; empty of others.

    Args:
        model: of transformers, as it is loaded.
    """
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    if not isinstance(model, torch.nn.Module) or not capabilities.get("amx_bf16"):
        return ""
    first = next(model.parameters(), None)
    if first is None or first.device.type != "cpu" or first.dtype != torch.float32:
        return ""
    if sum(parameter.numel() for parameter in model.parameters()) < LARGE:
        return ""
    return (
        "this processor multiplies bfloat16 in hardware (AMX): dtype=bfloat16 is faster than float32; scores are "
        "rounded, so that some texts differ"
    )
