"""A run of ``lm_eval --model detox`` killed (``SIGKILL``) at random moments: its files are those of an undisturbed run.

    python benchmarks/killed_run.py --kills 20

Every run is a fork of this process, which has imported everything once. An undisturbed one says how long it takes. The
same command is then started again and again, and killed after a random share of that time, whatever it is at: loading,
generating, scoring, measuring perplexity, writing. The files of a run that ends before its kill are compared too; the
last run ends by itself. Compared are results and samples files, but for times, dates and folders.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

TIMES = {"seconds", "tokens_per_second", "date", "start_time", "end_time", "total_evaluation_time_seconds"}
"""Whose values may differ."""


def start(arguments: list[str], log: Path) -> int:
    """A run in a process of its own."""
    child = os.fork()
    if child == 0:
        import lm_eval.__main__

        with log.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.argv = ["lm_eval", *arguments]
        status = 1
        try:
            lm_eval.__main__.cli_evaluate()
            status = 0
        except SystemExit as error:
            status = int(bool(error.code))
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    return child


def ends(child: int, seconds: float | None = None) -> int | None:
    """Exit status; None for one that was killed after so many seconds."""
    until = None if seconds is None else time.monotonic() + seconds
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if until is not None and time.monotonic() >= until:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.005)


def plain(value: Any) -> Any:
    """Without what may differ."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items() if key not in TIMES}
    return [plain(one) for one in value] if isinstance(value, list) else value


def content(folder: Path) -> dict[str, Any]:
    """The newest results and samples files, by what they are of."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*.json*")):
        what = path.name.rpartition("_")[0]
        text = path.read_text(encoding="utf-8").replace(str(folder), "OUT")
        found[what] = plain(
            [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else json.loads(text)
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--tasks", default="rtp_multilingual_en,rtp_multilingual_ja")
    parser.add_argument("--limit", type=int, default=8, help="prompts of each task")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw = random.Random(given.seed)

    import detoxbench.core.fluency
    import detoxbench.harness.model  # noqa: F401

    folder = Path(tempfile.mkdtemp())
    os.environ["DETOXBENCH_HOME"] = str(folder / "home")
    os.environ["DETOXBENCH_CACHE"] = str(folder / "cache")

    def command(out: str) -> list[str]:
        return ["run", "--model", "detox", "--model_args", "max_batch_tokens=300", "--tasks", given.tasks, "--limit",
                str(given.limit), "--metadata", '{"samples": 5}', "--log_samples", "--output_path",
                str(folder / out)]  # fmt: skip

    began = time.monotonic()
    status = ends(start(command("whole"), folder / "whole.log"))
    whole, seconds = content(folder / "whole"), time.monotonic() - began
    if status or not whole:
        sys.exit(f"the undisturbed run failed: {(folder / 'whole.log').read_text()[-2000:]}")
    kills = finished = 0
    while kills < given.kills:
        status = ends(start(command("killed"), folder / "killed.log"), draw.random() * seconds)
        kills += status is None
        if status is not None:
            finished += 1
            if status or content(folder / "killed") != whole:
                sys.exit(f"a run that ended by itself differs: status {status}")
            shutil.rmtree(folder / "killed")
    status = ends(start(command("killed"), folder / "killed.log"))
    if status or content(folder / "killed") != whole:
        sys.exit(f"the run after the kills differs (status {status}): {folder}")
    reused = (folder / "killed.log").read_text(errors="replace").count("were finished by an earlier run")
    left = list((folder / "cache").rglob("*.gz"))
    print(
        f"{kills} kills, {finished} runs ended before theirs, {reused} went on from finished prompts; files of "
        f"{len(whole)} kinds equal the undisturbed run's ({seconds:.0f} s); {len(left)} journals left"
    )
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
