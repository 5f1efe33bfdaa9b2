"""What the weight methods share: fine-tuned checkpoints beside a base model that is loaded already."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ...core.errors import DetoxbenchError
from ...core.files import possible
from .. import artifacts
from .align import Base, is_weight
from .checkpoint import ADAPTER_CONFIG
from .in_memory import InMemory, names_in_memory
from .vectors import TaskVectors


class Reweighted:
    """``base - coefficient * mean_i(finetuned_i - base)`` of a loaded model, tensor by tensor.

    The arithmetic is that of a merge on disk, in the same slices' precision: both give the same numbers. Names are
    those in memory, under which the fine-tuned checkpoints are read too.

    Args:
        model: the base.
        finetuned: see ``named``.
        coefficient: see ``TaskVectors``.
    """

    def __init__(self, model: PreTrainedModel, finetuned: str | Sequence[str], coefficient: float):
        first: dict[int, str] = {}
        state = model.state_dict()
        for name, tensor in state.items():
            if tensor.is_meta:
                raise DetoxbenchError(
                    f"{name} of the base model is kept on the disk (device_map), where its weights cannot be changed: "
                    "merge to a checkpoint first, with detoxbench task-vector negate"
                )
            first.setdefault(tensor.data_ptr(), name)
        # Tied weights have several names; the first is the one that is asked for.
        shapes = {name: tuple(state[name].shape) for name in first.values()}
        weights = dict.fromkeys(name for name in shapes if is_weight(name, state[name].is_floating_point()))
        base = Base(
            str(model.name_or_path),
            shapes,
            weights,
            opened=lambda checkpoint: InMemory(checkpoint, model),
            renamed=lambda names: names_in_memory(model, names),
            skeleton=lambda: _skeleton(model),
        )
        sources = named(finetuned)
        for source in sources:
            artifacts.verified(Path(source))
        self.vectors = TaskVectors(base, sources, coefficient)

    def weight(self, name: str, base: Tensor) -> Tensor:
        """The new tensor, of the shape of ``base``, which is left alone."""
        return self.vectors.weight(name, base.detach().cpu().reshape(-1)).view(base.shape).to(base.device)


def _skeleton(model: PreTrainedModel) -> PreTrainedModel:
    with torch.device("meta"):
        return type(model)(copy.deepcopy(model.config))


def named(finetuned: str | Sequence[str]) -> list[str]:
    """Fine-tuned checkpoints: a list; names joined by ``;`` (a comma ends an argument of lm-eval); or the folder that a
    fit made, whose ``part_0``, ``part_1``, … are meant.

    Raises:
        DetoxbenchError: for a folder with neither a checkpoint nor parts.
    """
    if isinstance(finetuned, str):
        given = (
            [finetuned]
            if possible(finetuned) and Path(finetuned).is_dir()
            else re.split(r"[;,]", finetuned.strip("[] "))
        )
    else:
        given = list(finetuned)
    found: list[str] = []
    for source in (one.strip().strip("'\"") for one in given):
        folder = Path(source)
        if (
            source
            and possible(source)
            and folder.is_dir()
            and not any((folder / name).is_file() for name in ("config.json", ADAPTER_CONFIG))
        ):
            parts = sorted(folder.glob("part_*"), key=lambda path: (len(path.name), path.name))
            if not parts:
                raise DetoxbenchError(f"'{source}' holds neither a checkpoint nor folders part_0, part_1, …")
            found += map(str, parts)
        elif source:
            found.append(source)
    return found
