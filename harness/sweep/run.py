"""A sweep in its folder: what is there already, what is done now, and what came of it.

``OUT/runs`` holds the results, a folder a cell, each published whole; ``OUT/logs`` a log a job; ``OUT/artifacts`` what
was fitted, unless a store elsewhere is named; ``OUT/work`` what is not finished; ``OUT/sweep.json`` the last outcome.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ...core.errors import DetoxbenchError
from ...core.files import fingerprint, make_folder, write_text
from ...core.parsing import parse_json
from ..continual.evaluate import CELL
from .engines import DONE, FAILED, PROGRESS, STARTED, Engine, Event, Place
from .plan import RUN, Job, Plan, plan
from .spec import Sweep
from .store import Store
from .worker import RESULT

RECORD = "sweep.json"
TODO = "to do"


@dataclass
class Outcome:
    """What came of a sweep.

    Args:
        done: digests of jobs done now.
        before: of cells that were there already.
        failed: digest -> reason.
    """

    done: set[str] = field(default_factory=set)
    before: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)


class Folder:
    """A sweep and its folder.

    Args:
        sweep: what is run.
        out: the folder.
        root: what relative files of the sweep are relative to.
        store: URL of the artifacts; by default ``OUT/artifacts``.
        cache: where artifacts of a store elsewhere are copied to; by default ``OUT/cache``.

    Raises:
        DetoxbenchError: for anything that is wrong with the sweep, before anything runs.
    """

    def __init__(
        self, sweep: Sweep, out: Path, *, root: Path = Path(), store: str | None = None, cache: Path | None = None
    ):
        if out.exists() and not out.is_dir():
            raise DetoxbenchError(f"'{out}' is a file: give a folder with --out")
        self.sweep, self.out = sweep, out.resolve()
        url = store or str(self.out / "artifacts")
        self.place = Place(self.out / "work", self.out / "logs", url, cache or self.out / "cache")
        self.store = Store(url, self.place.cache)
        self.plan: Plan = plan(sweep, self.out, self.store, root=root)

    def found(self) -> dict[str, Path]:
        """Digest -> folder of every run that is there, whatever the folder is called."""
        folders = sorted(path.parent for path in (self.out / "runs").glob(f"*/{CELL}"))
        return {digest: folder for folder in folders if (digest := _digest(folder))}

    def states(self) -> dict[str, str]:
        """Digest -> ``done``, ``failed`` (the last time) or ``to do``, of every job."""
        there = self.found()
        try:
            record = parse_json((self.out / RECORD).read_text(encoding="utf-8"))
            failed = {job["digest"] for job in record["jobs"] if job["state"] == FAILED}
        except (OSError, ValueError, KeyError, TypeError):
            failed = set()
        states = {}
        for digest, job in self.plan.jobs.items():
            done = digest in there if job.kind == RUN else self.store.find(digest) is not None
            states[digest] = DONE if done else FAILED if digest in failed else TODO
        return states

    def missing(self) -> list[Job]:
        """Runs that are not there, and artifacts that they need and that are not in the store."""
        states = self.states()
        runs = [job for job in self.plan.runs() if states[job.digest] != DONE]
        needed = {digest for job in runs for digest in job.needs}
        return [job for job in self.plan.jobs.values()
                if states[job.digest] != DONE and (job.kind == RUN or job.digest in needed)]  # fmt: skip

    def run(self, engine: Engine, tell: Callable[[Event], None] = lambda _: None) -> Outcome:
        """Do what is missing; what failed before is tried again.

        Raises:
            DetoxbenchError: where another process works in the folder.
        """
        make_folder(self.out)
        lock = FileLock(self.out / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise DetoxbenchError(f"'{self.out}': another sweep is running there; wait for it, or give --out") from None
        outcome = Outcome()
        try:
            self._recover()
            missing = self.missing()
            wanted = {job.digest for job in missing}
            outcome.before = {job.digest for job in self.plan.runs()} - wanted
            engine.run(missing, lambda event: self._heard(event, outcome, tell))
        finally:
            self._record(outcome)
            lock.release()
        if not outcome.failed:  # a fit that failed goes on from there
            shutil.rmtree(self.place.folder, ignore_errors=True)
        return outcome

    def _recover(self) -> None:
        """Publish what was finished when the sweep was killed."""
        for job in self.plan.runs():
            if _digest(self.place.work(job) / RESULT) == job.digest:
                self._publish(job, None)

    def _heard(self, event: Event, outcome: Outcome, tell: Callable[[Event], None]) -> None:
        job = event.job
        if event.log is not None:
            self.place.logs.mkdir(parents=True, exist_ok=True)
            self.place.log(job).write_bytes(event.log)
        if event.state == DONE:
            if job.kind == RUN:
                self._publish(job, event.result)
            outcome.done.add(job.digest)
        elif event.state == FAILED:
            outcome.failed[job.digest] = event.text
        if event.state in (DONE, FAILED):
            self._record(outcome)
        if event.state in (STARTED, PROGRESS, DONE, FAILED):
            tell(event)
        if event.state == DONE:
            shutil.rmtree(self.place.work(job), ignore_errors=True)

    def _publish(self, job: Job, zipped: bytes | None) -> None:
        made = self.place.work(job) / RESULT
        if zipped is not None:
            shutil.rmtree(made, ignore_errors=True)
            with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
                archive.extractall(made)
        final = self.out / "runs" / job.name
        make_folder(final.parent)
        shutil.rmtree(final, ignore_errors=True)
        os.replace(made, final)

    def _record(self, outcome: Outcome) -> None:
        rows = []
        for digest, job in self.plan.jobs.items():
            done = digest in outcome.done or digest in outcome.before
            state = FAILED if digest in outcome.failed else DONE if done else TODO
            row: dict[str, Any] = {"digest": digest, "kind": job.kind, "label": job.label, "state": state}
            if state == FAILED:
                row |= {"reason": outcome.failed[digest], "log": str(self.place.log(job).relative_to(self.out))}
            rows.append(row)
        content: Mapping[str, Any] = {"description": self.sweep.description, "time": time.time(), "jobs": rows}
        write_text(self.out / RECORD, [json.dumps(content, indent=1)])


def _digest(folder: Path) -> str | None:
    """Of what a finished run was made from; None where there is none."""
    try:
        return fingerprint(parse_json((folder / CELL).read_text(encoding="utf-8"))["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
