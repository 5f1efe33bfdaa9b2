"""Vectors on disk: a folder with ``vectors.safetensors`` and a manifest that says how they were made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...core import files
from ...core.errors import DetoxbenchError
from .. import artifacts
from ..training import work

FILE = "vectors.safetensors"

Compute = Callable[[PreTrainedModel, PreTrainedTokenizerBase, Path], tuple[Mapping[str, Tensor], Mapping[str, Any]]]
"""From model, tokenizer and a folder to work in to tensors by name, and facts for the manifest."""


def fit(
    pretrained: str,
    out: Path,
    name: str,
    kind: str,
    compute: Compute,
    *,
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    revision: str | None = None,
    device: str | None = None,
) -> Path:
    """Make ``OUT/NAME``; killed and called again, it goes on, and what is finished is not made again.

    Args:
        pretrained, revision, device: of the base model.
        kind: of the artifact, in its manifest.
        compute: makes the tensors; what it keeps in its folder survives a kill.
        data: of the texts, for the manifest; the artifact depends on it.
        settings: all others that it depends on.

    Raises:
        DetoxbenchError: where something else is there already, or a tensor is not finite.
    """
    path = Path(out) / name
    with work.locked(Path(out)):
        model, tokenizer = work.load_base(pretrained, revision=revision, device=device)
        made_with = {"base": work.base_record(model), **settings, "data": dict(data)}
        if work.finished(path, kind, made_with):
            work.discard(Path(out), name)
            return path
        with work.work_folder(Path(out), name, made_with) as folder:
            tensors, facts = compute(model, tokenizer, folder)
            store(path, kind, tensors, trained=work.trained(made_with, **facts))
    return path


def store(path: Path, kind: str, tensors: Mapping[str, Tensor], **facts: Any) -> None:
    """Write a folder, whole or not at all.

    Raises:
        DetoxbenchError: where it is not empty, or a tensor holds numbers that are not finite.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise DetoxbenchError(f"{path}: {name} holds numbers that are not finite: does the base model work?")
    if path.is_dir() and not any(path.iterdir()):
        path.rmdir()
    with files.new_folder(path) as partial:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial / FILE)
        artifacts.write_manifest(partial, kind, **facts)


def load(source: str | Path, kind: str) -> dict[str, Tensor]:
    """The tensors of a folder, by name, on the CPU.

    Raises:
        DetoxbenchError: for a folder of another kind, or one that is broken.
    """
    folder = Path(source)
    artifacts.verify(folder, artifacts.read(folder, kind))
    try:
        return load_file(folder / FILE)
    except (OSError, SafetensorError) as error:
        raise DetoxbenchError(f"{folder / FILE} cannot be read: {error}; copy the artifact again or refit") from error


def of_model(tensors: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]], source: str, model: Any) -> None:
    """Refuse vectors that were made on another model.

    Args:
        wanted: name -> shape.

    Raises:
        DetoxbenchError: naming the first that lacks or has another shape.
    """
    for name, shape in wanted.items():
        found = tuple(tensors[name].shape) if name in tensors else None
        if found != shape:
            had = "has none" if found is None else f"has {list(found)}"
            raise DetoxbenchError(
                f"'{source}' was not made on '{model.name_or_path}': of {name} it {had} instead of {list(shape)}; refit"
            )


class Vectors:
    """Tensors by name, on whatever device they are asked for.

    Args:
        tensors: by name.
    """

    def __init__(self, tensors: Mapping[str, Tensor]):
        self._at: dict[tuple[str, torch.device], Tensor] = {}
        self._tensors = dict(tensors)

    def names(self) -> Iterable[str]:
        return self._tensors.keys()

    def on(self, name: str, device: torch.device) -> Tensor:
        """A copy there, made once."""
        key = (name, device)
        if key not in self._at:
            # Made under inference_mode it could not be used outside.
            with torch.inference_mode(False):
                self._at[key] = self._tensors[name].to(device)
        return self._at[key]
