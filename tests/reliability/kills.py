"""Commands that write, killed at random moments (SIGKILL) and run where nothing can be written.

``python tests/reliability/kills.py --kills 20`` prints a table. A command is run undisturbed, then killed after a
random share of the time that took, again and again in one folder. After each kill every finished file must be readable.
Then it runs to its end, and must leave the files of the undisturbed run with the same content, dates and times aside,
and nothing of what the killed ones were writing. Where nothing can be written it must end with status 1 or 2 and a line
that names the path, without a traceback and without a broken file: a folder cannot be made, files may not grow
(``RLIMIT_FSIZE``), a disk is full or read-only (mounted, for the superuser), permissions bind (without capabilities).
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import content
import forked
import jobs

LIMIT = 512
"""Bytes that a file may have where the limit stands for a full disk."""
PLACES = ("no folder", "limit", "full disk", "read-only disk", "no permission")
HELD = "held"


class Bench:
    """A folder with the inputs, and each job's undisturbed results, made once."""

    def __init__(self, folder: Path):
        self.folder, self.inputs = folder, folder / "inputs"
        jobs.write_inputs(self.inputs)
        self._seconds: dict[str, float] = {}

    def place(self, job: jobs.Job, how: str) -> Path:
        found = self.folder / job.name.replace(" ", "_") / how.replace(" ", "_")
        found.mkdir(parents=True, exist_ok=True)
        return found

    def arguments(self, job: jobs.Job) -> list[str]:
        return job.filled(self.inputs, lambda name: self.undisturbed(by_name(name)) / "out")

    def undisturbed(self, job: jobs.Job) -> Path:
        place = self.place(job, "whole")
        if job.name not in self._seconds:
            arguments = self.arguments(job)
            ended = forked.run(arguments, place)
            if ended.status:
                raise RuntimeError(f"{job.name}, undisturbed: {ended.error[-2000:]}")
            self._seconds[job.name] = ended.seconds
        return place

    def killed(self, job: jobs.Job, kills: int, rng: random.Random) -> str:
        """What went wrong; else how many kills met the command at work."""
        whole, place, met = self.undisturbed(job), self.place(job, "killed"), 0
        for _ in range(kills):
            ended = forked.run(self.arguments(job), place, kill_after=rng.uniform(0.02, 1) * self._seconds[job.name])
            met += ended.status == -9
            if ended.status not in (0, -9) and "exists already" not in ended.error:
                return f"a run between kills failed: {last_line(ended.error)}"
            if problems := content.broken(place / "out"):
                return f"after a kill: {problems[0]}"
        if met or not kills:
            ended = forked.run(self.arguments(job), place)
            if ended.status and "exists already" not in ended.error:
                return f"the run after the kills failed: {last_line(ended.error)}"
        if found := content.differences(whole / "out", place / "out"):
            return f"not as undisturbed: {', '.join(found[:3])}"
        if left := content.partial(place / "out"):
            return f"left behind: {left[0]}"
        return f"{HELD} ({met} of {kills} while it ran)"

    def unwritable(self, job: jobs.Job, how: str) -> str:
        """What a command does where it cannot write; "not tried" where this machine cannot be made so."""
        place = self.place(job, how)
        arguments = self.arguments(job)
        with mounted(place, how) as made:
            if not made:
                return "not tried"
            ended = forked.run(
                arguments, place,
                longest_file=LIMIT if how == "limit" else None,
                powerless=how == "no permission",
            )  # fmt: skip
            problems = content.broken(place / "out") if (place / "out").is_dir() else []
        if "Traceback" in ended.error:
            return f"traceback: {last_line(ended.error)}"
        if ended.status not in (1, 2):
            return f"status {ended.status}"
        if "'" not in last_line(ended.error):
            return f"names no path: {last_line(ended.error)}"
        return f"left {problems[0]}" if problems else HELD


class mounted:
    """``out`` in a folder as something that cannot be written to."""

    def __init__(self, place: Path, how: str):
        self.out, self.how, self._mount = place / "out", how, False

    def __enter__(self) -> bool:
        if self.how == "no folder":
            self.out.write_text("")
            return True
        self.out.mkdir(exist_ok=True)
        if self.how == "no permission":
            self.out.chmod(0o555)
            return True
        if self.how in ("full disk", "read-only disk"):
            options = "size=4k,nr_inodes=4" if self.how == "full disk" else "ro,size=4k"
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.out], capture_output=True, check=False
            )
            self._mount = done.returncode == 0
            return self._mount
        return True

    def __exit__(self, *_: object) -> None:
        if self._mount:
            subprocess.run(["umount", "--lazy", self.out], check=True)


def by_name(name: str) -> jobs.Job:
    return next(job for job in jobs.JOBS if job.name == name)


def last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1][:200] if lines else "(nothing said)"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10, help="of each command")
    parser.add_argument("--jobs", nargs="*", default=[job.name for job in jobs.JOBS], help="only these")
    parser.add_argument("--places", nargs="*", default=list(PLACES), help="where nothing can be written")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    print(f"| command | kills |{''.join(f' {how} |' for how in given.places)}", flush=True)
    print("| --- | --- |" + " --- |" * len(given.places), flush=True)
    good = True
    folder = Path(tempfile.mkdtemp())
    try:
        bench = Bench(folder)
        for name in given.jobs:
            job = by_name(name)
            cells = [bench.killed(job, given.kills, rng), *(bench.unwritable(job, how) for how in given.places)]
            good &= all(cell.startswith((HELD, "not tried")) for cell in cells)
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
