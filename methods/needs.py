"""What a fit will take of memory and disk, said before it starts; what cannot fit is refused."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from ..core.errors import DetoxbenchError
from ..core.mini import model_folder
from .loading import LOAD_ERRORS

FLOAT = 4
"""Bytes of a float32 number, in which weights are trained."""
STATE = 3
"""Gradient and two moments of AdamW: so many numbers beside each trained one."""
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Size:
    """Of a base model, known from its configuration.

    Args:
        parameters: of all; shared ones count once.
        vocab: tokens.
        dim: of its hidden states.
        itemsize: bytes of a number in its checkpoint.
    """

    parameters: int
    vocab: int
    dim: int
    itemsize: int

    @classmethod
    def of(cls, pretrained: str, revision: str | None = None) -> Size | None:
        """None where the configuration cannot be read or built: whatever loads the model says why."""
        with contextlib.suppress(*LOAD_ERRORS, TypeError, AttributeError):
            options = {"revision": revision} if revision else {}
            config = AutoConfig.from_pretrained(model_folder(pretrained), **options)
            with torch.device("meta"):
                model = AutoModelForCausalLM.from_config(config)
            text = config.get_text_config()
            kind = getattr(config, "dtype", None)
            size = kind.itemsize if isinstance(kind, torch.dtype) else FLOAT
            return cls(sum(one.numel() for one in model.parameters()), text.vocab_size, text.hidden_size, size)
        return None


@dataclass(frozen=True)
class Needs:
    """Bytes that a fit takes.

    Args:
        memory: at its peak.
        disk: of what it makes, and of what lies beside while it works.
        instead: what takes less, for the message of a refusal.
    """

    memory: int
    disk: int
    instead: str = "a smaller model takes less"


def reading(size: Size, texts: Mapping[str, Any], settings: Any) -> Needs:
    """Of a fit that runs the model and trains nothing of its size."""
    return Needs(size.parameters * size.itemsize, 0)


def finetuning(size: Size, texts: Mapping[str, Any], settings: Any, models: int = 1) -> Needs:
    """Of one fine-tuned model after the other.

    Args:
        size: of the model that is trained.
        texts: see ``Fit``.
        settings: of the training.
        models: that are kept.
    """
    weights = size.parameters * FLOAT
    if getattr(settings, "lora_rank", 0):
        return Needs(weights, models * weights)
    # The newest checkpoint, of weights and moments, is whole before an older one goes.
    steps = max(map(len, texts.values()), default=0) * getattr(settings, "epochs", 1) / settings.batch_size
    steps = settings.max_steps if settings.max_steps > 0 else steps
    checkpoints = 3 * STATE * weights if steps > getattr(settings, "checkpoint_steps", 500) else 0
    less = "--lora trains adapters alone, which takes a quarter; or choose a smaller model"
    return Needs((1 + STATE) * weights, models * weights + checkpoints, less)


def each_side(size: Size, texts: Mapping[str, Any], settings: Any) -> Needs:
    """Of a model fine-tuned on each side of the texts."""
    return finetuning(size, texts, settings, len(texts))


def check(name: str, needs: Needs, out: Path, device: str | None = None) -> str:
    """What is said before a fit.

    Args:
        name: of the fit.
        needs: of it.
        out: where it writes.
        device: of the fit; by default a GPU where there is one.

    Raises:
        DetoxbenchError: where memory or disk does not suffice, with how much there is.
    """
    memory, place = free_memory(device)
    disk = free_disk(out)
    on = f"room for '{out}' on the disk"
    for what, wanted, there in ((f"memory{place}", needs.memory, memory), (on, needs.disk, disk)):
        if wanted > there:
            raise DetoxbenchError(
                f"{name}: this fit takes about {shown(wanted)} of {what}, and {shown(there)} are free: {needs.instead}"
            )
    return (
        f"{name}: this fit takes about {shown(needs.memory)} of memory{place} ({shown(memory)} free) and "
        f"{shown(needs.disk)} on the disk ({shown(disk)} free)"
    )


def free_memory(device: str | None = None) -> tuple[int, str]:
    """Bytes, and whose they are in words where it is not the machine's own memory."""
    if torch.cuda.is_available() and (device is None or device.startswith("cuda")):
        return torch.cuda.mem_get_info(None if device in (None, "cuda") else device)[0], " of the GPU"
    return min(psutil.virtual_memory().available, *_of_container()), ""


def _of_container() -> Iterator[int]:
    """What a container's bound leaves, where there is one; its cache of files can be given back."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        bound, used = (int((CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        stat = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        yield max(0, bound - used + int(stat["inactive_file"]))
    yield 1 << 62


def free_disk(out: Path) -> int:
    """Bytes where a folder is, or will be."""
    there = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def shown(count: int) -> str:
    """Bytes in words.

    >>> shown(5_300_000_000), shown(70_000_000), shown(0)
    ('5.3 GB', '70 MB', '0 MB')
    """
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"
