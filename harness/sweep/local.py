"""Engines on this machine: a process a job, or all in this process."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ...core.errors import DetoxbenchError
from . import worker
from .engines import (
    BLOCKED,
    DONE,
    FAILED,
    PROGRESS,
    STARTED,
    Event,
    Place,
    Schedule,
    Tell,
    command,
    environment,
    last_bar,
    reason,
    tail,
)
from .plan import Job

POLL, GRACE = 0.2, 10.0


def devices() -> list[str]:
    """The GPUs of this machine, as ``CUDA_VISIBLE_DEVICES`` names them."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name for name in given.split(",") if name.strip() and name.strip() != "-1"]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


@dataclass
class _Running:
    job: Job
    process: subprocess.Popen
    gpus: list[str]


class LocalEngine:
    """A process a job, its output in a log, at most ``jobs`` at once.

    Args:
        place: where they work.
        jobs: processes at once; those that ask for GPUs get devices of their own.
    """

    def __init__(self, place: Place, jobs: int = 1):
        self.place, self.jobs = place, jobs
        self._running: list[_Running] = []

    def run(self, jobs: Sequence[Job], tell: Tell) -> None:
        """See ``Engine``; whatever ends it, no process stays."""
        schedule = Schedule(jobs)
        self._free = devices() if any(job.resources.gpus for job in jobs) else []
        self._all = len(self._free)
        wanted = max((job.resources.gpus for job in jobs), default=0)
        if wanted > self._all:
            raise DetoxbenchError(
                f"resources: gpus: {wanted:g}, but this machine has {self._all}; lower it, or --engine ray"
            )
        try:
            while schedule.waiting or self._running:
                for job in schedule.ready():
                    gpus = self._take(job)
                    if gpus is not None and len(self._running) < self.jobs:
                        schedule.start(job)
                        self._start(job, gpus)
                        tell(Event(job, STARTED))
                for one in list(self._running):
                    self._look(one, schedule, tell)
                time.sleep(POLL)
        finally:
            self._end()

    def _take(self, job: Job) -> list[str] | None:
        """The devices of a job; None while too few are free. A part of a device is a whole one."""
        wanted = math.ceil(job.resources.gpus)
        return self._free[:wanted] if wanted <= len(self._free) else None

    def _start(self, job: Job, gpus: list[str]) -> None:
        self._free = [name for name in self._free if name not in gpus]
        path, log = self.place.write(job), self.place.log(job)
        log.parent.mkdir(parents=True, exist_ok=True)
        environ = environment(os.environ, os.getpid(), worker.PARENT)
        if gpus:
            environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
        with log.open("wb") as file:
            # A session of its own: Ctrl-C reaches this process alone, which ends the others in order.
            process = subprocess.Popen(
                command(job, path), stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                env=environ, start_new_session=True,
            )  # fmt: skip
        self._running.append(_Running(job, process, gpus))

    def _look(self, one: _Running, schedule: Schedule, tell: Tell) -> None:
        status = one.process.poll()
        content = tail(self.place.log(one.job))
        if status is None:
            tell(Event(one.job, PROGRESS, last_bar(content)))
            return
        self._running.remove(one)
        self._free += one.gpus
        if status == 0:
            tell(Event(one.job, DONE))
            schedule.done(one.job)
            return
        tell(Event(one.job, FAILED, reason(content, status)))
        for job in schedule.failed(one.job):
            tell(Event(job, FAILED, f"{BLOCKED}: {one.job.label}"))

    def _end(self) -> None:
        for name in (signal.SIGTERM, signal.SIGKILL):
            for one in self._running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(one.process.pid, name)
            end = time.monotonic() + GRACE
            for one in self._running:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    one.process.wait(max(0.0, end - time.monotonic()))
            self._running = [one for one in self._running if one.process.poll() is None]


class InlineEngine:
    """All jobs in this process, one after the other: no process to start, no isolation; for tests and tiny models.

    Args:
        place: where they work.
    """

    def __init__(self, place: Place):
        self.place = place

    def run(self, jobs: Sequence[Job], tell: Tell) -> None:
        """Run the jobs in their order of need, and tell of each as it ends (``Engine.run``)."""
        schedule = Schedule(jobs)
        while schedule.waiting:
            job = schedule.ready()[0]
            schedule.start(job)
            tell(Event(job, STARTED))
            self.place.write(job)
            try:
                worker.do(self.place.told(job), self.place.work(job))
            except Exception as error:
                text = f"{error}" if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
                tell(Event(job, FAILED, text, log=f"{text}\n".encode()))
                for other in schedule.failed(job):
                    tell(Event(other, FAILED, f"{BLOCKED}: {job.label}"))
            else:
                tell(Event(job, DONE))
                schedule.done(job)
