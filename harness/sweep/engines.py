"""What every engine does: start jobs when what they need is done, and tell what happens."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ...core.files import write_text
from .plan import Job

STARTED, PROGRESS, DONE, FAILED = "started", "progress", "done", "failed"
BLOCKED = "what it needs could not be made"
_BAR = re.compile(r"([^\r\n]*?\d+%\|[^\r\n]*)")
_TAIL = 4096


@dataclass(frozen=True)
class Event:
    """What happened to a job.

    Args:
        job: which.
        state: ``started``, ``progress``, ``done`` or ``failed``.
        text: how far it is, on which node, or why it failed, in one line.
        log: content of its log, where the job ran on another machine.
        result: a zip file of its results, likewise.
    """

    job: Job
    state: str
    text: str = ""
    log: bytes | None = None
    result: bytes | None = None


Tell = Callable[[Event], None]


class Engine(Protocol):
    """Does jobs; one that fails hinders none but those that need it."""

    def run(self, jobs: Sequence[Job], tell: Tell) -> None:
        """Do all of them; what one needs that is not among them is there already."""
        ...


class Schedule:
    """Which jobs can start.

    Args:
        jobs: all that are to be done.
    """

    def __init__(self, jobs: Iterable[Job]):
        self.waiting = {job.digest: job for job in jobs}
        self._open = set(self.waiting)

    def ready(self) -> list[Job]:
        """Those whose needs are done, in their order."""
        return [job for job in self.waiting.values() if not self._open & set(job.needs)]

    def start(self, job: Job) -> None:
        del self.waiting[job.digest]

    def done(self, job: Job) -> None:
        self._open.discard(job.digest)

    def failed(self, job: Job) -> list[Job]:
        """Those that now can never start; they are taken out."""
        hopeless = [one for one in self.waiting.values() if job.digest in one.needs]
        for one in hopeless:
            del self.waiting[one.digest]
        return hopeless


@dataclass(frozen=True)
class Place:
    """Where jobs work.

    Args:
        folder: one folder a job in it.
        logs: one file a job.
        store: URL of the artifacts.
        cache: of those of other machines.
    """

    folder: Path
    logs: Path
    store: str
    cache: Path

    def work(self, job: Job) -> Path:
        return self.folder / job.digest[:32]

    def log(self, job: Job) -> Path:
        return self.logs / f"{job.name}.log"

    def told(self, job: Job) -> dict[str, Any]:
        """What a worker reads."""
        content = {"kind": job.kind, "digest": job.digest, "content": dict(job.content)}
        return {**content, "store": self.store, "cache": str(self.cache)}

    def write(self, job: Job) -> Path:
        """The worker's file."""
        path = self.work(job) / "job.json"
        write_text(path, [json.dumps(self.told(job), default=str)])
        return path


def command(job: Job, path: Path) -> list[str]:
    """The worker's command line; with ``accelerate launch`` for several processes."""
    module = ["-m", "detoxbench.harness.sweep.worker", str(path)]
    count = job.resources.processes
    if count == 1 or job.kind == "fit":
        return [sys.executable, *module]
    # Port 0 is a free one: two cells on one machine must not meet.
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(count), "--num_machines", "1"]
    launch += ["--main_process_port", "0", "--mixed_precision", "no", "--dynamo_backend", "no"]
    return [sys.executable, *launch, *module]


def last_bar(content: bytes) -> str:
    """The newest line of progress in a log."""
    found = _BAR.findall(content.decode("utf-8", "replace"))
    return found[-1].strip() if found else ""


def tail(path: Path) -> bytes:
    """The end of a log."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            return file.read()
    except OSError:
        return b""


def reason(content: bytes, status: int) -> str:
    """Why a worker failed, in one line: the last of its log that says something."""
    if status < 0:
        return f"killed by signal {-status}" + (" (out of memory?)" if status == -9 else "")
    lines = [line.strip() for line in content.decode("utf-8", "replace").replace("\r", "\n").splitlines()]
    said = [line for line in lines if line and not _BAR.fullmatch(line) and not line.startswith("[rank")]
    named = [line for line in said if re.match(r"(detoxbench: |\w+(\.\w+)*(Error|Exception|Interrupt)\b)", line)]
    return (named or said or [f"exit status {status}"])[-1].removeprefix("detoxbench: ")[:400]


def environment(base: Mapping[str, str], parent: int, name: str) -> dict[str, str]:
    """Of a worker: it watches its parent."""
    return {**base, name: str(parent), "PYTHONUNBUFFERED": "1"}
