"""How fast scores go into an archive as it grows: each tenth of the load by itself, so that a falling rate shows.

    python benchmarks/archive_load.py                       # a million scores in transactions of 10,000
    python benchmarks/archive_load.py --rows 200000 --each 1000

Scores are of eight attributes, texts as long as continuations of twenty tokens; both are stored, and each transaction
is on the disk before the next begins.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from detoxbench.core.scorers.archive import Key, Row, ScoreArchive, text_sha256

TENTHS = 10


def load(rows: int, each: int, folder: str) -> None:
    key = Key("perspective", "v1alpha1@2026-11", tuple(f"attribute{number}" for number in range(8)), "en")
    with ScoreArchive(Path(folder) / "scores.sqlite") as store:
        begin = start = time.perf_counter()
        for done in range(0, rows, each):
            texts = [
                f"the text of number {number}, as long as a continuation is" for number in range(done, done + each)
            ]
            store.put(key, [Row(text_sha256(text), [0.5] * 8, None, text) for text in texts])
            if (done + each) * TENTHS // rows > done * TENTHS // rows:
                now = time.perf_counter()
                print(f"{done + each:>10,} stored: {rows / TENTHS / (now - start):>9,.0f} a second", flush=True)
                start = now
        print(f"{rows:,} scores in {time.perf_counter() - begin:.1f} s", flush=True)
    size = sum(path.stat().st_size for path in Path(folder).iterdir())
    print(f"{size / 2**20:.0f} MiB on the disk")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--each", type=int, default=10_000, help="scores in a transaction")
    parser.add_argument("--folder", help="where the archive is made and removed again; the temporary folder by default")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        load(arguments.rows, arguments.each, folder)


if __name__ == "__main__":
    main()
