"""What keeping finished prompts costs: time a batch, size on disk, time to find them again.

Tokens are drawn from a Zipf law (exponent 1.2) over a vocabulary of GPT-2's size.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from detoxbench.harness.journal import Journal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=10_000)
    parser.add_argument("--samples", type=int, default=25)
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--batch", type=int, default=16, help="prompts that a batch finishes")
    given = parser.parse_args()
    draw = np.random.default_rng(0)
    shape = (given.samples, given.tokens)
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder), "run", {"model": "none"})
        times = []
        for start in range(0, given.prompts, given.batch):
            places = range(start, min(start + given.batch, given.prompts))
            rows = {f"{place:032x}": np.minimum(draw.zipf(1.2, shape), 50_256).tolist() for place in places}
            begin = time.perf_counter()
            journal.add(rows, 1.0)
            times.append(time.perf_counter() - begin)
        size = journal.path.stat().st_size
        journal.close()
        begin = time.perf_counter()
        again = Journal(Path(folder), "run", {"model": "none"})
        found, _ = again.found({f"{place:032x}" for place in range(given.prompts)})
        reading = time.perf_counter() - begin
        again.close()
        if len(found) != given.prompts:
            raise SystemExit(f"{given.prompts - len(found)} prompts were lost")
    tokens = given.prompts * given.samples * given.tokens
    print("| prompts | a batch, ms | bytes a token | MB for 100,000 prompts | opened and read again, s |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    print(
        f"| {given.prompts:,} | {1000 * float(np.median(times)):.1f} | {size / tokens:.2f} | "
        f"{size / given.prompts * 100_000 / 1e6:.0f} | {reading:.1f} |"
    )


if __name__ == "__main__":
    main()
