"""What this machine has free of memory and disk, and whether a fit has room in it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

from ..core.errors import DetoxbenchError
from . import speed
from .needs import Needs
from .training.pace import duration

CGROUP = Path("/sys/fs/cgroup")
MOMENT = 60.0
"""Seconds; less is not estimated to the minute."""


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
            takes, free = bytes_in_words(wanted), bytes_in_words(there)
            raise DetoxbenchError(
                f"{name}: this fit takes about {takes} of {what}, and {free} are free: {needs.instead}"
            )
    in_memory = f"{bytes_in_words(needs.memory)} of memory{place} ({bytes_in_words(memory)} free)"
    on_disk = f"{bytes_in_words(needs.disk)} on the disk ({bytes_in_words(disk)} free)"
    return f"{name}: this fit takes about {in_memory}, {on_disk} and {time(needs, device)}"


def time(needs: Needs, device: str | None = None) -> str:
    """How long a fit takes, in words: from its operations and a measurement of this machine's speed."""
    seconds = needs.seconds + speed.seconds(needs.operations, device or _device())
    beside = f" beside {needs.beside}" if needs.beside else ""
    return f"{'less than a minute' if seconds < MOMENT else duration(seconds)} (a rough estimate){beside}"


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


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


def bytes_in_words(count: float) -> str:
    """Bytes in words.

    >>> bytes_in_words(5_300_000_000), bytes_in_words(70_000_000), bytes_in_words(300), bytes_in_words(0)
    ('5.3 GB', '70 MB', '1 MB', '0 MB')
    """
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{max(count / 1e6, float(count > 0)):,.0f} MB"
