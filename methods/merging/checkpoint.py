"""A checkpoint's safetensors files, read in slices: ``pread`` into small buffers, so no page of them stays mapped."""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...core import hub
from ...core.errors import DetoxbenchError
from ...core.mini import model_folder
from ...core.parsing import parse_json

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTER, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
SLICE = 1 << 18
"""Elements read at once: buffers of this size stay in the processor's cache, and are reused by the allocator."""
HEADER_LIMIT = 100_000_000
"""Bytes; the format's own bound."""
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
CODES = {dtype: code for code, dtype in DTYPES.items()}
HUB_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken"]


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies: its file, and the bytes from ``start`` on."""

    path: Path
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int

    @property
    def count(self) -> int:
        """Elements."""
        return torch.Size(self.shape).numel()

    @property
    def nbytes(self) -> int:
        return self.count * self.dtype.itemsize


class Checkpoint:
    """The tensors of a model folder, or of a LoRA adapter's, by name.

    Args:
        folder: of ``save_pretrained``: one safetensors file, or several with an index.
        name: for messages.

    Attributes:
        entries: tensor's name -> where it lies, in the order of the files.
        config: ``config.json``, or of an adapter ``adapter_config.json``.
        adapter: whether it is one.

    Raises:
        DetoxbenchError: where files are missing, cut off, quantised or not safetensors.
    """

    def __init__(self, folder: Path, name: str):
        self.folder, self.name = folder, name
        if not folder.is_dir():
            raise DetoxbenchError(f"'{name}': there is no such folder")
        self.adapter = (folder / ADAPTER_CONFIG).is_file()
        self.config = _json(folder / (ADAPTER_CONFIG if self.adapter else "config.json"))
        if self.config.get("quantization_config"):
            raise DetoxbenchError(
                f"'{name}' is quantised: its numbers cannot be added; give the checkpoint it came from"
            )
        self.entries: dict[str, Entry] = {}
        for path, wanted in self._files().items():
            found = _header(path)
            if lacking := sorted((wanted or set()) - found.keys()):
                raise DetoxbenchError(f"{path} lacks {lacking[0]}, which the index says it holds")
            self.entries.update({key: entry for key, entry in found.items() if wanted is None or key in wanted})
        self._open: dict[Path, int] = {}
        weakref.finalize(self, _close, self._open)

    @property
    def paths(self) -> list[Path]:
        """The files with tensors."""
        return list(dict.fromkeys(entry.path for entry in self.entries.values()))

    def _files(self) -> dict[Path, set[str] | None]:
        """File -> tensors that count; None for all of them."""
        folder = self.folder
        if self.adapter and (folder / ADAPTER).is_file():
            return {folder / ADAPTER: None}
        if not self.adapter and (folder / SINGLE).is_file():
            return {folder / SINGLE: None}
        if self.adapter or not (folder / INDEX).is_file():
            torches = [path.name for path in sorted(folder.glob("*.bin"))]
            hint = (
                f"; {torches[0]} is in torch's format: convert it with detoxbench import dexperts {folder} --out NEW"
                if torches
                else ""
            )
            raise DetoxbenchError(f"'{self.name}' holds no {ADAPTER if self.adapter else SINGLE}{hint}")
        files: dict[Path, set[str] | None] = {}
        for key, file in _json(folder / INDEX).get("weight_map", {}).items():
            path = folder / str(file)
            if path.parent != folder or not path.is_file():
                raise DetoxbenchError(f"{folder / INDEX} names '{file}', which is not in the folder: copy it again")
            files.setdefault(path, set()).add(key)  # type: ignore[union-attr]
        if not files:
            raise DetoxbenchError(f"{folder / INDEX} names no files")
        return files

    def read(self, name: str, start: int = 0, count: int | None = None) -> Tensor:
        """Elements ``[count]`` of a tensor, flat, from ``start`` on. May be called from several threads."""
        entry = self.entries[name]
        count = entry.count - start if count is None else count
        out = torch.empty(count, dtype=entry.dtype)
        view = memoryview(out.view(torch.uint8).numpy())
        at = entry.start + start * entry.dtype.itemsize
        file = self._file(entry.path)
        while len(view):
            got = os.preadv(file, [view], at)
            if not got:
                raise DetoxbenchError(f"{entry.path} ends within {name}: it was cut off; copy it again")
            view, at = view[got:], at + got
        return out

    def _file(self, path: Path) -> int:
        if path not in self._open:
            file = os.open(path, os.O_RDONLY)
            if self._open.setdefault(path, file) != file:
                os.close(file)  # another thread was first
        return self._open[path]

    def same(self, one: str, other: str) -> bool:
        """Whether two tensors are the same, byte for byte: how a tied weight that was saved twice is recognised."""
        a, b = self.entries[one], self.entries[other]
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            return False
        return all(torch.equal(self.read(one, *part), self.read(other, *part)) for part in slices(a.count))

    def stored_dtype(self) -> torch.dtype | None:
        """That the configuration asks for, in which transformers loads the checkpoint."""
        named = self.config.get("dtype") or self.config.get("torch_dtype")
        found = getattr(torch, str(named).removeprefix("torch."), None)
        return found if isinstance(found, torch.dtype) else None


def slices(count: int, size: int = SLICE) -> Iterator[tuple[int, int]]:
    """``(start, count)`` that cover so many elements."""
    for start in range(0, count, size):
        yield start, min(size, count - start)


def resolve(source: str | Path, revision: str | None = None) -> Path:
    """The local folder of a checkpoint: a folder, ``mini``, or a hub name (fetched, safetensors only).

    Raises:
        DetoxbenchError: where there is none.
    """
    folder = Path(model_folder(str(source)))
    if folder.is_dir():
        return folder
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w.-]+)?", str(source)):
        raise DetoxbenchError(f"'{source}': there is no such folder, and it is no name of a model on the hub")
    from huggingface_hub import snapshot_download

    try:
        with hub.quietly():
            return Path(
                snapshot_download(str(source), revision=revision, allow_patterns=HUB_FILES, ignore_patterns=["*/*"])
            )
    except (OSError, ValueError) as error:
        why = hub.cause(error, str(source))
        raise DetoxbenchError(f"'{source}' cannot be had from the hub: {why}") from error


def open_checkpoint(source: str | Path, revision: str | None = None) -> Checkpoint:
    """The checkpoint of a folder, ``mini``, or a hub name."""
    return Checkpoint(resolve(source, revision), str(source))


def _header(path: Path) -> dict[str, Entry]:
    """Tensors of a safetensors file; every offset is checked against the file's size."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(size - 8, HEADER_LIMIT):
            raise DetoxbenchError(f"{path} is no safetensors file, or was cut off: copy it again")
        try:
            header: Mapping[str, Any] = parse_json(file.read(length))
            entries = {key: _entry(path, key, value, 8 + length) for key, value in header.items() if key[:2] != "__"}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, DetoxbenchError):
                raise
            raise DetoxbenchError(f"{path} is no safetensors file: its header cannot be read") from error
    if any(entry.start + entry.nbytes > size for entry in entries.values()):
        raise DetoxbenchError(f"{path} was cut off: it has {size:,} bytes, fewer than its header says; copy it again")
    return dict(sorted(entries.items(), key=lambda item: item[1].start))


def _entry(path: Path, name: str, value: Mapping[str, Any], data: int) -> Entry:
    if value["dtype"] not in DTYPES:
        raise DetoxbenchError(f"{path}: {name} has dtype {value['dtype']}; allowed are {', '.join(DTYPES)}")
    start, end = value["data_offsets"]
    entry = Entry(path, DTYPES[value["dtype"]], tuple(int(size) for size in value["shape"]), data + int(start))
    if start < 0 or end - start != entry.nbytes:
        raise ValueError(name)
    return entry


def _json(path: Path) -> dict[str, Any]:
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DetoxbenchError(f"{path.parent} is no checkpoint: it has no {path.name}") from None
    except (OSError, ValueError) as error:
        raise DetoxbenchError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise DetoxbenchError(f"{path} holds no JSON object")
    return content


def _close(files: dict[Path, int]) -> None:
    for file in files.values():
        os.close(file)
