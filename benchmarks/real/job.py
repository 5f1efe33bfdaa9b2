"""What ``python -m benchmarks.real`` does: prepare, plan, run study after study, keep each finished run's record.

Nothing is done twice: models, texts and the guiding scorer are kept in the cache, sweeps know their cells by content,
and records are named by theirs. So the same command after a kill, or in another month, does the rest.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

from detoxbench.core import results
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.files import new_folder, write_text
from detoxbench.core.folders import data_folder
from detoxbench.harness.cli import sweep as command
from detoxbench.harness.sweep import spec
from detoxbench.harness.sweep.local import InlineEngine
from detoxbench.harness.sweep.run import Folder
from detoxbench.leaderboard import submissions
from detoxbench.leaderboard.boards import board_of, differences
from detoxbench.leaderboard.site import sources

from . import data, models, tables
from . import judge as judges
from . import pilot as pilots
from . import verdicts as claims

HERE = Path(__file__).parent
RECORDS = HERE.parents[1] / "leaderboard" / "runs"
STUDIES = ("english", "languages", "chat", "retrieval", "splitmerge", "epsilon")
"""In the order of what they are worth: a job that is stopped leaves the first ones whole."""
PUBLISHED = ("english", "languages", "chat")
"""Whose records are boards of the leaderboard; the others answer a question and are reported by ``verdicts``."""
CLAIMED = ("retrieval", "splitmerge", "epsilon")
PROMPTS = {"english": 32, "each": 6}
"""From the pilot (README.md)."""
DATA = "DETOXBENCH_SAMPLES"
GEMMA = "gemma-3-270m"


def default_data() -> Path | None:
    given = os.environ.get(DATA)
    return Path(given) if given else None


def default_cache() -> Path:
    return data_folder() / "real"


def prepare(given: argparse.Namespace) -> int:
    """models, texts and guiding scorer"""
    if given.data is None:
        raise DetoxbenchError(f"no data: give --data FOLDER, or set {DATA}")
    cache = given.cache.resolve()
    for name in models.SOURCES:
        models.checkpoint(name, cache)
    if not (cache / "data").is_dir():
        with new_folder(cache / "data") as partial:
            data.write(given.data, partial, **PROMPTS)
    _guide(cache)
    return 0


def _guide(cache: Path) -> Path:
    """The scorer that guides best_of_n and rewards rectification, of texts that nothing else has seen."""
    from detoxbench.harness.scorer_training import ngram
    from detoxbench.tasks import labels

    out = cache / "guide"
    if not (out / "card.json").is_file():
        folder = cache / "data" / "labels" / "guides"
        sets = []
        for name, path in (("rtp_lx", folder / "rtp_lx"), (str(folder / "paradetox.jsonl"), None)):
            one, texts, revision = labels.load(name, labels.Request(path))
            sets.append(({**one.card(), "revision": revision}, texts))
        ngram.fit(sets, out, ngram.Settings(penalties=(0.1,)), say=_say)
    return out


def folder(name: str, cache: Path) -> Folder:
    """A study as a sweep in the cache."""
    path = HERE / "studies" / f"{name}.yaml"
    # One folder for all: cells and artifacts that studies have in common are there once.
    return Folder(spec.read(path, {"cache": str(cache.resolve())}), cache / "sweep", root=path.parent)


def plan(given: argparse.Namespace) -> int:
    """what is left to do, and about how long it takes (models are fetched first)"""
    prepare(given)
    for name in given.studies or STUDIES:
        command._plan(folder(name, given.cache))
    return 0


def pilot(given: argparse.Namespace) -> int:
    """from the runs that are there, how many prompts make the figures worth reading, and what they cost"""
    for name in given.studies or PUBLISHED:
        found = [claims.load(where) for where in _cells(given, name)]
        base = [run for run in found if run.model is not None and run.model.method == "none"]
        for one in base:
            mine = [run for run in found if run not in base and not differences(board_of(one), board_of(run))]
            sys.stdout.write(f"\n{one.label}: " + "\n".join(pilots.pilot(one, mine).lines()) + "\n")
        if not base:
            _say(f"{name}: no run without a method; `run {name}` begins with it, and can be stopped after two cells")
    return 0


def steps(given: argparse.Namespace) -> int:
    """the step matrix of "From One to Many", by ``detoxbench continual``"""
    prepare(given)
    out = given.cache.resolve() / "steps"
    out.mkdir(parents=True, exist_ok=True)
    study = (HERE / "studies" / "steps.yaml").read_text(encoding="utf-8")
    write_text(out / "study.yaml", [study.replace("${cache}", str(given.cache.resolve()))])
    detoxbench = Path(sysconfig.get_path("scripts")) / "detoxbench"
    return subprocess.run([detoxbench, "continual", out / "study.yaml", "--out", out, "--markdown"]).returncode


def run(given: argparse.Namespace) -> int:
    """prepare, then every cell that is not there; records as they finish"""
    import torch

    # The fits' float32 products in bfloat16 where the processor has AMX: twice as fast.
    torch.set_float32_matmul_precision("medium")
    plan(given)
    failed = 0
    for name in given.studies or STUDIES:
        one = folder(name, given.cache)
        started = time.monotonic()

        def tell(event: Any, name: str = name, one: Folder = one, started: float = started) -> None:
            passed = command.duration(time.monotonic() - started)
            _say(f"{time.strftime('%H:%M:%S')} {name}: {event.state} {event.job.label} {event.text} ({passed})")
            if event.state == "done" and event.job.kind == "run" and name in PUBLISHED:
                submit(one.out / "runs" / event.job.name, given.records)

        failed += len(one.run(InlineEngine(one.place), tell).failed)
    return 1 if failed else 0


def judge(given: argparse.Namespace) -> int:
    """fit the second judge, and have it score what the published studies wrote"""
    cache = given.cache.resolve()
    prepare(given)
    found = cache / "judge"
    if not (found / "config.json").is_file():
        judges.fit(models.checkpoint(GEMMA, cache), judges.texts(given.data, cache), found, _say)
    return _score_again(given, cache / "judged", f"hf:{found},label=toxic,dtype=bfloat16", cache / "judged.sqlite")


def rescore(given: argparse.Namespace) -> int:
    """score what the published studies wrote by the embedded scorer as it is now; nothing is generated anew"""
    from detoxbench.core import scorers

    version = scorers.load("ngram").version
    return _score_again(given, given.cache.resolve() / "rescored" / version[:12], "ngram", "none", but=version)


def _score_again(given: argparse.Namespace, out: Path, scorer: str, archive: Path | str, but: str | None = None) -> int:
    """What is there by another scorer, in one process; likelihoods are those of the runs.

    Args:
        out: of results; runs that are there are left.
        scorer, archive: as ``detoxbench score`` takes them.
        but: a version of the scorer; runs that it has judged itself are left.
    """
    files: list[Path] = []
    for cell in _cells(given):
        judged = any(task.record.scorer_version == but for task in claims.load(cell).tasks.values())
        date = results.find(cell)[-1].stem.removeprefix("results_")
        if not judged and not any(out.glob(f"*_{date}*/**/results_*.json")):
            files += cell.rglob("samples_*.jsonl")
    status = 0
    if files:
        detoxbench = Path(sysconfig.get_path("scripts")) / "detoxbench"
        status = subprocess.run(
            [detoxbench, "score", *files, "--out", out, "--scorer", scorer, "--archive", archive,
             "--fluency-model", "kept"]
        ).returncode  # fmt: skip
    submit(out, given.records)
    return status


def submit(results: Path, records: Path) -> None:
    """The record of a finished run, as ``detoxbench submit`` writes it."""
    found = sources.gather([results], None)
    for problem in found.problems:
        _say(f"no record: {problem}")
    for path in submissions.append(records, found.records):
        _say(f"wrote {path}")


def _cells(given: argparse.Namespace, *names: str) -> list[Path]:
    """Folders of the studies' runs that are there, each once: the studies share a folder, and each other's runs."""
    found: set[Path] = set()
    for name in names or given.studies or PUBLISHED:
        one = folder(name, given.cache)
        planned = one.plan.cells
        found |= {where for digest, where in one.found().items() if digest in planned}
    return sorted(found)


def table(given: argparse.Namespace) -> int:
    """every run beside the model without a method, by each scorer that has judged it"""
    cells = _cells(given)
    again = [path for name in ("rescored", "judged") for path in (given.cache / name).rglob("results_*.json")]
    for base, others in tables.groups([claims.load(cell) for cell in cells] + [results.read(path) for path in again]):
        sys.stdout.write("\n".join(tables.lines(base, others)) + "\n\n")
    return 0


def verdicts(given: argparse.Namespace) -> int:
    """what the runs say of the papers' claims, as a table"""
    runs, texts = {}, {}
    for name in CLAIMED:
        one = folder(name, given.cache)
        cells = one.plan.cells
        for digest, where in one.found().items():
            if digest in cells:
                fit = cells[digest].fit
                runs[digest] = claims.load(where)
                texts[digest] = fit.texts if fit else None
    sys.stdout.write("| claim | paper | change | would have been seen | verdict |\n| --- | --- | ---: | ---: | --- |\n")
    for verdict in claims.verdicts(runs, texts):
        sys.stdout.write(f"{verdict.row()}\n")
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


COMMANDS = {
    "prepare": prepare,
    "plan": plan,
    "pilot": pilot,
    "run": run,
    "judge": judge,
    "rescore": rescore,
    "verdicts": verdicts,
    "steps": steps,
    "table": table,
}
