"""Time and memory of building a datastore of synthetic keys, phase by phase.

    python benchmarks/datastore.py                             # 0.25, 0.5 and 1 million keys of dimension 1024
    python benchmarks/datastore.py --counts 65536,131072 --dim 256

Keys are written to disk block by block and read by memory map, as fits do; each count is built in a fresh process,
whose peak resident memory (less the pages of mapped files) is shown. The last line projects the time to 50 million
keys, phase by phase: what costs the same a key grows with the count; training grows with lists x sample, which is
bounded.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from detoxbench.methods.identity import ModelIdentity
from detoxbench.methods.retrieval import datastore, index

BLOCK = 16_384
PROJECTED = 50_000_000
PHASES = ("train", "add", "write", "recall")


def write_keys(path: Path, count: int, dim: int) -> np.ndarray:
    """Clustered float16 keys ``[count, dim]`` on disk, as hidden states are: 4,096 centres and noise."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((4096, dim), dtype=np.float32)
    keys = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(count, dim))
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        noise = rng.standard_normal((size, dim), dtype=np.float32)
        keys[start : start + size] = centres[rng.integers(0, 4096, size)] + 0.5 * noise
    keys.flush()
    del keys
    return np.load(path, mmap_mode="r")


def anonymous() -> int:
    """Bytes of resident memory that are not pages of files."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    return 0


class Peak:
    """The largest ``anonymous()`` while it runs."""

    def __enter__(self) -> Peak:
        self.bytes, self._stop = anonymous(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            self.bytes = max(self.bytes, anonymous())

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def build(count: int, dim: int, folder: str, out: str) -> None:
    """Build one datastore; figures go to the file ``out``."""
    keys = write_keys(Path(folder) / "source.npy", count, dim)
    values = np.random.default_rng(1).integers(0, 50_257, count).astype(np.int32)
    seconds = dict.fromkeys(PHASES, 0.0)

    def timed(phase: str, function):
        def call(*arguments):
            start = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                seconds[phase] += time.perf_counter() - start

        return call

    index.add, index.write = timed("add", index.add), timed("write", index.write)
    datastore.recall = timed("recall", datastore.recall)
    index.build = timed("train", index.build)
    start = time.perf_counter()
    with Peak() as peak:
        store = datastore.Datastore.from_arrays(
            Path(folder) / "store", keys, values, model=ModelIdentity(name="synthetic", vocab_size=50_257)
        )
    total = time.perf_counter() - start
    seconds["train"] -= seconds["add"]  # building adds too
    found = {
        "count": count, "total": total, "peak": peak.bytes, "nlist": store.manifest["index"]["nlist"],
        "found": store.manifest["recall"]["value"], **seconds,
    }  # fmt: skip
    Path(out).write_text(json.dumps(found))


def projected(rows: list[dict], dim: int) -> str:
    """Seconds at 50 million keys, from the largest measured count."""
    last = rows[-1]
    per_key = PROJECTED / last["count"]
    sample, lists = index.sample_size(PROJECTED, dim), index.lists(PROJECTED, dim)
    train = last["train"] * lists / last["nlist"] * sample / index.sample_size(last["count"], dim)
    rest = (last["total"] - last["train"]) * per_key
    return (
        f"{PROJECTED:,} keys, {lists:,} lists: training {train / 3600:.1f} h at most (lists x sample; a graph makes it "
        f"less), everything else {rest / 3600:.1f} h"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", default="250000,500000,1000000")
    parser.add_argument("--dim", type=int, default=1024)
    parser.add_argument("--folder", default=None, help="where there is room; by default a temporary folder")
    options = parser.parse_args()
    console = Console()
    table = Table(
        "keys", "lists", *(f"{phase} s" for phase in PHASES), "total s", "us a key", "peak MiB", "recall@1024"
    )
    rows = []
    for count in map(int, options.counts.split(",")):
        needed = 2 * 2 * count * options.dim + 80 * count
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            if shutil.disk_usage(folder).free < needed:
                raise SystemExit(f"{count:,} keys need {needed / 2**30:.1f} GiB of free disk; choose another --folder")
            out = f"{folder}/figures.json"
            child = multiprocessing.get_context("spawn").Process(target=build, args=(count, options.dim, folder, out))
            child.start()
            child.join()
            if child.exitcode:
                raise SystemExit(f"{count:,} keys: the build ended with {child.exitcode}")
            rows.append(row := json.loads(Path(out).read_text()))
        table.add_row(
            f"{count:,}", f"{row['nlist']:,}", *(f"{row[phase]:.1f}" for phase in PHASES), f"{row['total']:.1f}",
            f"{row['total'] / count * 1e6:.0f}", f"{row['peak'] / 2**20:.0f}", f"{row['found']:.3f}",
        )  # fmt: skip
        console.print(f"{count:,} keys: {row['total']:.0f} s, {row['peak'] / 2**20:.0f} MiB")
    console.print(table)
    console.print(projected(rows, options.dim))


if __name__ == "__main__":
    main()
