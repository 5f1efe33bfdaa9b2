"""Commands that write, killed at random moments and run on a disk that is full.

``python benchmarks/reliability.py`` prints a table.

A command is run undisturbed, then killed (``SIGKILL``) after a random share of the time that took, again and again in
the same folder. After each kill every finished JSON file must be readable and the score archive whole. Then the command
runs to its end, and must leave the files of the undisturbed run, with the same archive, and no others. On a full disk
(``RLIMIT_FSIZE``) and in a folder that cannot be made it must end with status 1 or 2 and one line, without a traceback.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

HOSTILE = "\u202e<script>alert(1)</script>[red]\x1b[31m../../x\r\n::error::"
LIMIT = 512
"""Bytes that a file may have on the full disk."""


def prepare(folder: Path, texts: int) -> dict[str, list[str]]:
    """Inputs, and the commands by name; ``OUT`` stands for the folder of what they write."""
    rows = [
        {"prompt": {"text": f"{HOSTILE} {number}", "toxicity": 0.25}, "lang": "en",
         "generations": [{"text": f"{HOSTILE} {place}", "toxicity": (number + place) % 9 / 9} for place in range(5)]}
        for number in range(texts)
    ]  # fmt: skip
    generations = folder / "generations.jsonl"
    generations.write_text("".join(json.dumps(row) + "\n" for row in rows))
    study = {"methods": "none", "tasks": ["rtp_multilingual_en", "rtp_multilingual_fr"], "samples": 2, "limit": 4,
             "metadata": {"fluency_model": "none"}}  # fmt: skip
    (folder / "sweep.yaml").write_text(yaml.safe_dump(study))
    for side in ("toxic", "nontoxic"):
        (folder / f"{side}.jsonl").write_text("".join(json.dumps({"text": f"a {side} {n}"}) + "\n" for n in range(40)))
    return {
        "score": ["score", str(generations), "--scorer", "given", "--archive", "none", "--out", "OUT"],
        "archive import": ["archive", "import", str(generations), "--version", "v", "--archive", "OUT/scores.sqlite"],
        "leaderboard build": ["leaderboard", "build", str(folder / "scored"), "--out", "OUT/site"],
        "fit": ["fit", "goodtriever", "--pretrained", "mini", "--toxic", str(folder / "toxic.jsonl"), "--nontoxic",
                str(folder / "nontoxic.jsonl"), "--device", "cpu", "--out", "OUT/made"],
        "sweep": ["sweep", str(folder / "sweep.yaml"), "--engine", "inline", "--out", "OUT/sweep"],
    }  # fmt: skip


def start(command: list[str], out: Path, home: Path, full: bool = False) -> subprocess.Popen[str]:
    """The command in a process of its own, with nothing of the user's."""
    arguments = [part.replace("OUT", str(out)) for part in command]
    limit = (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))) if full else None
    code = "from detoxbench.harness.cli import main; main()"
    environment = {**os.environ, "DETOXBENCH_HOME": str(home), "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, errors="replace", preexec_fn=limit,
    )  # fmt: skip


def broken(out: Path) -> list[str]:
    """Finished files that cannot be read; those whose names begin with a dot are at work."""
    found = []
    for path in sorted(out.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(out).parts)
        if hidden or not path.is_file():
            continue
        try:
            if path.suffix == ".json":
                json.loads(path.read_text(encoding="utf-8"))
            elif path.suffix == ".jsonl":
                [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            elif path.suffix == ".sqlite":
                content(path)
        except (ValueError, sqlite3.Error) as error:
            found.append(f"{path.name}: {error}")
    return found


def content(path: Path) -> int:
    """How many scores an archive holds; an error where it is not whole."""
    with sqlite3.connect(path) as archive:
        if archive.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise ValueError("not whole")
        tables = [name for (name,) in archive.execute("SELECT name FROM sqlite_master WHERE name = 'scores'")]
        return archive.execute("SELECT count(*) FROM scores").fetchone()[0] if tables else 0


def listing(out: Path) -> list[str]:
    """Kinds of files in it, dates and fingerprints in their names aside; how many scores an archive has."""
    files = [path for path in out.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm", ".lock"))]
    names = sorted("".join("#" if one in "0123456789abcdef" else one for one in path.name) for path in files)
    return [*names, *(str(content(path)) for path in files if path.suffix == ".sqlite")]


def killed(command: list[str], folder: Path, kills: int, rng: random.Random) -> str:
    """What went wrong; "held" and how many kills met the command at work."""
    began = time.monotonic()
    whole = start(command, folder / "whole", folder / "home")
    _, error = whole.communicate()
    if whole.returncode:
        return f"the undisturbed run failed: {error.strip().splitlines()[-1:]}"
    seconds, met = time.monotonic() - began, 0
    for _ in range(kills):
        process = start(command, folder / "killed", folder / "home")
        try:
            process.communicate(timeout=rng.uniform(0.3, 1) * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            met += 1
        if problems := broken(folder / "killed"):
            return f"after a kill: {problems[0]}"
    last = start(command, folder / "killed", folder / "home")
    _, error = last.communicate()
    if last.returncode:
        return f"the run after the kills failed: {error.strip().splitlines()[-1:]}"
    expected, found = listing(folder / "whole"), listing(folder / "killed")
    if expected != found:
        return f"other files than undisturbed: {sorted(set(expected) ^ set(found))[:3] or 'more of them'}"
    return f"held ({met} of {kills} while it ran)"


def refused(command: list[str], folder: Path, how: str) -> str:
    """What a command says of a disk that takes nothing, or of a folder that cannot be made."""
    out = folder / how
    if how == "no folder":
        (folder / "file").write_text("")
        out = folder / "file" / "below"
    run = start(command, out, folder / "home", full=how == "full disk")
    _, error = run.communicate()
    if "Traceback" in error:
        return f"traceback: {error.strip().splitlines()[-1][:100]}"
    if run.returncode not in (1, 2):
        return f"status {run.returncode}"
    return "held" if not (out.is_dir() and broken(out)) else f"left {broken(out)[0]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=5, help="of each command")
    parser.add_argument("--texts", type=int, default=200, help="prompts of the generation file")
    parser.add_argument("--commands", nargs="*", help="only these, by their names in the table")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    print("| command | kills | full disk | no folder |\n| --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands = prepare(folder, given.texts)
        wanted = given.commands or list(commands)
        if "leaderboard build" in wanted:
            start(commands["score"], folder / "scored", folder / "home").communicate()
        for what in wanted:
            command = commands[what]
            place = folder / what.replace(" ", "_")
            place.mkdir()
            found = [killed(command, place, given.kills, rng)]
            found += [refused(command, place, how) for how in ("full disk", "no folder")]
            print(f"| {what} | {' | '.join(found)} |", flush=True)
            shutil.rmtree(place)


if __name__ == "__main__":
    main()
