"""A method that is weights in the end, written as a plain checkpoint that needs nothing of this package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from ..core.constants import MINI
from ..core.errors import DetoxbenchError
from ..core.registry import METHODS, PLUS
from . import base
from .artifact_arguments import declared
from .first_use import with_artifacts
from .loading import LOAD_ERRORS
from .merging.align import base_of
from .merging.checkpoint import Checkpoint, open_checkpoint
from .merging.edited import Edited
from .merging.reweighted import named
from .merging.vectors import TaskVectors
from .merging.write import MAX_SHARD, Change, result_size, write
from .provenance import effective
from .training import work

KIND = "exported_model"


def exportable(method: str) -> bool:
    """Whether a method is weights in the end."""
    return all(_folds(declared(one)) for one in method.split(PLUS)) and method in METHODS


def _folds(cls: type[base.Method]) -> bool:
    return issubclass(cls, base.WeightMethod) or (issubclass(cls, base.ActivationMethod) and cls.folds)


def export(
    pretrained: str,
    method: str,
    out: str | Path,
    arguments: Mapping[str, Any] | None = None,
    *,
    revision: str | None = None,
    dtype: str | None = None,
    max_shard: int = MAX_SHARD,
) -> Path:
    """Write a model under a method: safetensors, configuration, tokenizer and a card, streamed tensor by tensor.

    Args:
        pretrained: base model: folder, hub name or ``mini``.
        method: a registered method.
        out: a new folder; appears whole or not at all.
        arguments: the method's own.
        revision: of the base model.
        dtype: of the weights; see ``write``.
        max_shard: bytes of a file.

    Returns:
        ``out``. What is there already, made the same way, stays.

    Raises:
        DetoxbenchError: for a method that works at run time alone, a wrong argument, or what is in the way.
    """
    out, given = Path(out), dict(arguments or {})
    METHODS.check(method)
    if not exportable(method):
        kinds = "weight methods, and those that fold into weights"
        running = next(one for one in method.split(PLUS) if not _folds(declared(one)))
        raise DetoxbenchError(
            f"method '{running}' works while the model runs, so that no checkpoint can hold it ({kinds})"
        )
    base.parse_arguments(method, declared(method), given)
    if pretrained == MINI:
        given = with_artifacts(method, given)
    used = effective(method, given)
    checkpoint = open_checkpoint(pretrained, revision)
    name = Path(pretrained).name if Path(pretrained).is_dir() else pretrained
    made_with = {"base": name, "revision": revision, "method": method, "arguments": used, "dtype": dtype}
    if work.finished(out, KIND, made_with):
        return out
    change = _change(checkpoint, method, given)
    with work.bar(total=result_size(checkpoint, change, dtype), desc="writing", unit="B", unit_scale=True) as bar:
        return write(
            checkpoint, change, out, KIND, dtype=dtype, max_shard=max_shard, on_bytes=bar.update,
            extra={"README.md": _card(name, method, used).encode()}, trained=work.trained(made_with),
        )  # fmt: skip


def _change(checkpoint: Checkpoint, method: str, given: Mapping[str, Any]) -> Change:
    change, model = None, None
    for cls, parsed in declared(method).applied(base.parse_arguments(method, declared(method), given)):
        difference = cls.difference(parsed) if issubclass(cls, base.WeightMethod) else None
        if difference is not None and change is None:
            sources, coefficient = difference
            change = TaskVectors(base_of(checkpoint), named(sources), coefficient)
            continue
        model = model or _skeleton(checkpoint)
        made: Any = cls(model, parsed)
        change = Edited(checkpoint, model, made.weight, change)
    assert change is not None, "a method is applied at least once"
    return change


def _skeleton(checkpoint: Checkpoint) -> PreTrainedModel:
    """The base model without its weights."""
    try:
        config = AutoConfig.from_pretrained(checkpoint.folder)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except LOAD_ERRORS as error:
        cause = str(error).strip().split("\n")[0]
        raise DetoxbenchError(f"base model '{checkpoint.name}' is no causal LM that can be built: {cause}") from error
    model.name_or_path = checkpoint.name
    return model.eval()


def _card(name: str, method: str, arguments: Mapping[str, Any]) -> str:
    """The folder's ``README.md``."""
    about = declared(method).about
    values = "\n".join(f"- `{key}`: {_shown(value)}" for key, value in arguments.items())
    lines = [
        f"# {name}, {method}",
        f"`{name}` under the detoxification method `{method}`: {about.summary}",
        "A plain checkpoint: transformers and vLLM load it like any other. Its licence is that of the base model.",
        f"## Arguments\n\n{values}" if values else "",
        f"## Citation\n\n{about.paper}. {about.url}" if about.paper else "",
        f"```bibtex\n{about.bibtex}\n```" if about.bibtex else "",
    ]
    return "\n\n".join(line for line in lines if line) + "\n"


def _shown(value: Any) -> str:
    """An argument, without the folders that a path lies in: they say nothing elsewhere."""
    several = value if isinstance(value, list | tuple) else [value]
    return ", ".join(Path(one).name if isinstance(one, str) and "/" in one else str(one) for one in several)
