"""What first use of a method on the embedded model costs: processor time, peak memory, size of what is kept.

    python benchmarks/first_use.py                            # every method with a fit, half an hour of a core
    python benchmarks/first_use.py --methods sasa goodtriever

Each method is one process, ``detoxbench fit --mini METHOD``, with one thread and a cache of its own, so that nothing is
there beforehand. Time is the process's user and system time, imports included: what else the machine does changes it
little. Methods that share their artifacts are fitted together once by a user; here each is measured alone.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from detoxbench.core.registry import METHODS
from detoxbench.harness.cli.fit import Fits
from detoxbench.methods.artifact_arguments import fit_of

HEAD = ("method", "artifacts", "processor time, s", "peak memory, MiB", "kept, MiB", "said beforehand")
MIB = 2**20


@dataclass(frozen=True)
class Cost:
    """What one process took.

    Args:
        seconds: user and system time.
        memory: most resident memory, in bytes.
        kept: bytes in the cache afterwards.
    """

    seconds: float
    memory: int
    kept: int


def fitted() -> list[str]:
    """Methods with artifacts that first use makes."""
    return [name for name in METHODS.in_order() if Fits.has(name)]


def run(command: Sequence[str], cache: Path) -> Cost:
    """One process that keeps what it makes in ``cache``.

    Raises:
        SystemExit: if it fails.
    """
    given = {**os.environ, "OMP_NUM_THREADS": "1", "DETOXBENCH_CACHE": str(cache)}
    process = subprocess.Popen(command, env=given, stdout=subprocess.DEVNULL)
    # Of this child alone: RUSAGE_CHILDREN adds all of them up, and its peak is the largest of any.
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit status {process.returncode}")
    kept = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, kept)


def line(method: str, cost: Cost) -> str:
    """A row of the Markdown table."""
    fit = fit_of(method)
    said = f"{60 * fit.mini.minutes:.0f} s" if fit.mini.minutes else "some minutes"
    cells = (method, fit.name, f"{cost.seconds:.0f}", f"{cost.memory / MIB:,.0f}", f"{cost.kept / MIB:,.1f}", said)
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=fitted(), help="default: all with a fit")
    options = parser.parse_args()
    command = str(Path(sysconfig.get_path("scripts")) / "detoxbench")
    print(f"| {' | '.join(HEAD)} |\n| --- | --- |{' ---: |' * 4}", flush=True)
    for method in options.methods:
        with tempfile.TemporaryDirectory() as folder:
            cost = run([command, "fit", "--mini", METHODS.check(method)], Path(folder))
        print(line(method, cost), flush=True)


if __name__ == "__main__":
    main()
