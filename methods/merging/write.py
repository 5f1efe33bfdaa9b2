"""Writes a changed model as a standard checkpoint, slice by slice and with several threads, with its provenance."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import torch
from torch import Tensor

from ...core import files
from ...core.errors import DetoxbenchError
from ...core.parsing import parse_json
from .. import artifacts
from .align import Base
from .checkpoint import CODES, INDEX, SINGLE, Checkpoint, slices
from .follow import Follower
from .parts import Part
from .vectors import TaskVectors

KIND = "merged_model"
FORMULA = "base - coefficient * mean_i(finetuned_i - base)"
WINDOW = 64
"""Slices after which hashing catches up."""
MAX_SHARD = 5_000_000_000
"""Bytes of one safetensors file."""
COPIED = (".json", ".txt", ".model", ".jinja", ".tiktoken")
"""Configuration and tokenizer; no code and no weights."""
LEFT = (artifacts.MANIFEST, INDEX, "trainer_state.json", "complete.json", "fit.json", "tradeoff.json")
DTYPES = {"float64": torch.float64, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

Item = tuple[str, torch.dtype, int]
"""A tensor's name, its dtype in the result, its bytes there."""


class Change(Protocol):
    """A change of a checkpoint's tensors, such as ``TaskVectors``."""

    @property
    def base(self) -> Base:
        """What is changed."""
        ...

    @property
    def parts(self) -> Sequence[Part]:
        """Other checkpoints that are read for it."""
        ...

    def weight(self, name: str, base: Tensor, start: int = 0, dtype: torch.dtype | None = None) -> Tensor:
        """A slice of a new tensor; see ``TaskVectors.weight``."""
        ...


class Job(NamedTuple):
    """A slice of a tensor, the open file's number and the place in it where it goes; ``end`` counts over all files."""

    name: str
    dtype: torch.dtype
    start: int
    count: int
    file: int
    at: int
    end: int


def merge(
    base: Checkpoint,
    vectors: TaskVectors,
    out: str | Path,
    *,
    dtype: str | None = None,
    max_shard: int = MAX_SHARD,
    workers: int | None = None,
    on_bytes: Callable[[int], None] | None = None,
    extra: Mapping[str, bytes] | None = None,
    **facts: Any,
) -> Path:
    """Write ``base`` changed by ``vectors``; see ``write``."""
    known = {"formula": FORMULA, "coefficient": vectors.coefficient}
    return write(
        base, vectors, out, KIND, dtype=dtype, max_shard=max_shard, workers=workers, on_bytes=on_bytes, extra=extra,
        **known, **facts,
    )  # fmt: skip


def write(
    base: Checkpoint,
    change: Change,
    out: str | Path,
    kind: str,
    *,
    dtype: str | None = None,
    max_shard: int = MAX_SHARD,
    workers: int | None = None,
    on_bytes: Callable[[int], None] | None = None,
    extra: Mapping[str, bytes] | None = None,
    **facts: Any,
) -> Path:
    """Write a changed checkpoint: safetensors, the base's configuration and tokenizer, ``manifest.json``.

    Memory: a few slices a thread and what the change keeps, whatever the size of the model.

    Args:
        kind: of the artifact.
        out: a new folder; appears whole or not at all.
        dtype: of the weights; by default as the base is loaded: stored precision, or its configuration's where wider.
        max_shard: bytes of a file; more are spread over several, with an index.
        workers: threads; by default one a core, at most 8.
        on_bytes: called with bytes written, from several threads.
        extra: more files, name -> content.
        facts: for the manifest.

    Raises:
        DetoxbenchError: for an unknown dtype, a full disk, or a folder that is in use.
    """
    out = Path(out)
    if dtype is not None and dtype not in DTYPES:
        raise DetoxbenchError(f"dtype '{dtype}': allowed are {', '.join(DTYPES)}")
    shards = _shards(base, change, dtype, max_shard)
    _room(out, sum(size for shard in shards for _, _, size in shard))
    inputs = {one.folder: one for one in (base, *(part.checkpoint for part in change.parts))}
    names = _shard_names(len(shards))
    with files.new_folder(out) as partial, _pool(workers or min(8, os.cpu_count() or 1)) as pool:
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context((partial / name).open("wb")) for name in names]
            jobs: list[Job] = []
            for shard, file in zip(shards, opened, strict=True):
                jobs += _jobs(base, shard, file, sum(os.fstat(one.fileno()).st_size for one in opened))
            sums = _run(pool, functools.partial(_slice, base, change, on_bytes), jobs, inputs.values(), partial, names)
        for one in inputs.values():
            _compare(one, sums)
        if len(shards) > 1:
            _write_index(partial, shards, names)
        _copy_rest(base.folder, partial)
        if dtype is not None:
            _set_dtype(partial, dtype)
        for name, content in (extra or {}).items():
            (partial / name).write_bytes(content)
        artifacts.write_manifest(
            partial,
            kind,
            known={name: sums[partial / name] for name in names},
            base=_provenance(base, sums),
            parts=[_provenance(part.checkpoint, sums) for part in change.parts],
            **facts,
        )
    return out


def _shards(base: Checkpoint, change: Change, dtype: str | None, limit: int) -> list[list[Item]]:
    """Tensors of each file, in the base's order."""
    weights, wide = set(change.base.weights), base.stored_dtype()
    shards: list[list[Item]] = [[]]
    filled = 0
    for name, entry in base.entries.items():
        kept = entry.dtype
        if name in weights:
            kept = DTYPES[dtype] if dtype else entry.dtype
            if not dtype and wide is not None and wide.is_floating_point and wide.itemsize > kept.itemsize:
                kept = wide
        size = entry.count * kept.itemsize
        if shards[-1] and filled + size > limit:
            shards.append([])
            filled = 0
        shards[-1].append((name, kept, size))
        filled += size
    return shards


def result_size(base: Checkpoint, change: Change, dtype: str | None = None) -> int:
    """Bytes of the changed weights."""
    return sum(size for shard in _shards(base, change, dtype, MAX_SHARD) for _, _, size in shard)


def _shard_names(count: int) -> list[str]:
    return [SINGLE] if count == 1 else [f"model-{at:05d}-of-{count:05d}.safetensors" for at in range(1, count + 1)]


def _jobs(base: Checkpoint, shard: list[Item], file: BinaryIO, before: int) -> Iterator[Job]:
    """The slices of a file, whose header is written and whose room is taken at once.

    Args:
        before: bytes of the files before it.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, dtype, size in shard:
        shape = list(base.entries[name].shape)
        header[name] = {"dtype": CODES[dtype], "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    file.flush()
    file.truncate(8 + len(text) + at)
    at = 8 + len(text)
    for name, dtype, size in shard:
        for start, count in slices(base.entries[name].count):
            place = at + start * dtype.itemsize
            yield Job(name, dtype, start, count, file.fileno(), place, before + place + count * dtype.itemsize)
        at += size


def _slice(base: Checkpoint, change: Change, on_bytes: Callable[[int], None] | None, job: Job) -> None:
    part = change.weight(job.name, base.read(job.name, job.start, job.count), job.start, job.dtype)
    view = memoryview(part.view(torch.uint8).numpy())
    at = job.at
    while len(view):
        written = os.pwrite(job.file, view, at)
        view, at = view[written:], at + written
    if on_bytes:
        on_bytes(at - job.at)


def _run(
    pool: ThreadPoolExecutor,
    work: Callable[[Job], None],
    jobs: Sequence[Job],
    inputs: Iterable[Checkpoint],
    out: Path,
    names: Sequence[str],
) -> dict[Path, str]:
    """Do the jobs in order; sha256 of every input and output file, each hashed while its pages are still in memory."""
    readers = [Follower(one.paths) for one in inputs]
    writer = Follower([out / name for name in names])
    total = sum(job.count for job in jobs)
    done = written = 0
    behind: list[Future] = []
    for start in range(0, len(jobs), WINDOW):
        window = jobs[start : start + WINDOW]
        for _ in pool.map(work, window):
            pass  # raises what a slice raised
        for future in behind:
            future.result()
        done += sum(job.count for job in window)
        written = window[-1].end
        behind = [pool.submit(reader.advance, reader.size * done // total) for reader in readers]
        behind.append(pool.submit(writer.advance, written))
    for future in behind:
        future.result()
    sums: dict[Path, str] = {}
    for found in pool.map(Follower.finish, [*readers, writer]):
        sums |= found
    return sums


def _compare(one: Checkpoint, sums: Mapping[Path, str]) -> None:
    """Refuse a file of ours that is not what its manifest says."""
    known = (artifacts.ours(one.folder) or {}).get("files", {})
    for path in one.paths:
        artifacts.same(path, known.get(path.name, sums[path]), sums[path])


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Threads with one core each; after an error or a key press what has not begun is dropped."""
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _copy_rest(source: Path, folder: Path) -> None:
    for path in sorted(source.iterdir()):
        if path.is_file() and path.suffix in COPIED and path.name not in LEFT and not path.name.startswith("."):
            shutil.copyfile(path, folder / path.name)


def _set_dtype(folder: Path, dtype: str) -> None:
    """Have the configuration say the precision, in the words of the transformers release that wrote it."""
    config = parse_json((folder / "config.json").read_text(encoding="utf-8"))
    config["torch_dtype" if "torch_dtype" in config else "dtype"] = dtype
    files.write_json(folder / "config.json", config)


def _room(out: Path, size: int) -> None:
    """Refuse before anything is written."""
    folder = next(path for path in (out, *out.absolute().parents) if path.exists())
    free = shutil.disk_usage(folder).free
    if free < size:
        raise DetoxbenchError(
            f"{out}: the merged model takes {size / 1e9:,.1f} GB, {free / 1e9:,.1f} GB are free there"
        )


def _write_index(folder: Path, shards: list[list[Item]], names: list[str]) -> None:
    total = sum(size for shard in shards for _, _, size in shard)
    where = {name: file for shard, file in zip(shards, names, strict=True) for name, _, _ in shard}
    files.write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": where})


def _provenance(one: Checkpoint, sums: dict[Path, str]) -> dict[str, Any]:
    """A checkpoint in the manifest: no path, since a path says nothing elsewhere."""
    return {
        "name": Path(one.name).name if Path(one.name).is_dir() else one.name,
        "kind": "lora" if one.adapter else "checkpoint",
        "sha256": {path.name: sums[path] for path in one.paths},
    }
