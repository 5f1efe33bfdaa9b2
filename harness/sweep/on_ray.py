"""Engine on a Ray cluster: a job is a Ray task with declared GPUs, cores and memory, run again where a node dies.

Tasks share no folder: what they need comes from the store of artifacts, and a run's results come back as the task's
value, which Ray makes again if the node that held it is gone.
"""

from __future__ import annotations

import io
import os
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...core.errors import DetoxbenchError, missing_extra
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

POLL = 0.5
PASSED = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TOKENIZERS_PARALLELISM", "OMP_NUM_THREADS", "DETOXBENCH_CACHE")
"""Environment variables that change how a job runs, given on to every node. Keys are not: a node has its own."""


def package() -> Any:
    """Ray.

    Raises:
        DetoxbenchError: where it is not installed.
    """
    try:
        import ray
    except ImportError:
        raise missing_extra("ray", "ray", "--engine ray") from None
    return ray


class _Board:
    """Actor beside the driver: where each job runs, and how far it is."""

    def __init__(self) -> None:
        self.said: dict[str, tuple[str, str]] = {}

    def say(self, digest: str, node: str, text: str) -> None:
        self.said[digest] = (node, text)

    def all(self) -> dict[str, tuple[str, str]]:
        return self.said


def perform(job: Job, place: Place, environ: Mapping[str, str], say: Callable[[str], None]) -> dict[str, Any]:
    """A job on a node: the same process as on one machine, in a folder of its own.

    Args:
        place: its store; the folders are the node's own.
        environ: variables of the driver.
        say: told how far it is.

    Returns:
        ``status``, ``log`` and, of a run that is done, ``result``, a zip file.
    """
    with tempfile.TemporaryDirectory(prefix="detoxbench-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        own = Place(root / "work", root / "logs", place.store, place.cache)
        path, log = own.write(job), root / "log"
        env = environment({**os.environ, **environ}, os.getpid(), worker.PARENT)
        with log.open("wb") as file:
            process = subprocess.Popen(
                command(job, path), stdin=subprocess.DEVNULL, stdout=file,
                stderr=subprocess.STDOUT, env=env, start_new_session=True,
            )  # fmt: skip
        try:
            while process.poll() is None:
                say(last_bar(tail(log)))
                time.sleep(POLL)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)
        made = own.work(job) / worker.RESULT
        result = _zipped(made) if process.returncode == 0 and made.is_dir() else None
        return {"status": process.returncode, "log": log.read_bytes(), "result": result}


def _zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
    return buffer.getvalue()


class RayEngine:
    """Jobs as Ray tasks.

    Args:
        place: its store has to be one that all nodes reach: a shared file system, or ``s3://``, ``gs://``.
        address: of the cluster; by default ``RAY_ADDRESS``, else a cluster of this machine alone is started.

    Raises:
        DetoxbenchError: where Ray is not installed, or the cluster does not answer.
    """

    def __init__(self, place: Place, address: str | None = None):
        self.ray = package()
        self.place = place
        self._own = not self.ray.is_initialized()
        if self._own:
            # Ray's own usage statistics would go over the network.
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            address = address or os.environ.get("RAY_ADDRESS")
            own = {} if address else {"include_dashboard": False}
            try:
                self.ray.init(address=address, log_to_driver=False, **own)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise DetoxbenchError(f"Ray cluster at {address or 'this machine'}: {error}") from None

    def run(self, jobs: Sequence[Job], tell: Tell) -> None:
        """Run the jobs in their order of need, and tell of each as it ends (``Engine.run``)."""
        schedule = Schedule(jobs)
        self._check(jobs)
        here = self.ray.get_runtime_context().get_node_id()
        strategy = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=True)
        board = self.ray.remote(_Board).options(num_cpus=0, scheduling_strategy=strategy).remote()
        running: dict[Any, Job] = {}
        nodes: dict[str, str] = {}
        try:
            while schedule.waiting or running:
                for job in schedule.ready():
                    schedule.start(job)
                    running[self._submit(job, board)] = job
                ready, _ = self.ray.wait(list(running), timeout=POLL)
                self._look(board, running.values(), nodes, tell)
                for reference in ready:
                    self._finished(running.pop(reference), reference, schedule, tell)
        finally:
            for reference in running:
                self.ray.cancel(reference, force=True)
            self.ray.kill(board)
            if self._own:
                self.ray.shutdown()

    def _submit(self, job: Job, board: Any) -> Any:
        wanted = job.resources
        # A fit is one process, wherever there is a core or a GPU for it.
        options = {"num_cpus": wanted.cpus, "num_gpus": wanted.gpus, "max_retries": wanted.retries, "max_calls": 1}
        if wanted.memory:
            options["memory"] = wanted.memory
        given = {name: os.environ[name] for name in PASSED if name in os.environ}
        return self.ray.remote(**options)(_task).remote(job, self.place, given, board)

    def _check(self, jobs: Sequence[Job]) -> None:
        """Ray would wait for ever for what no node has."""
        if not jobs:
            return
        wanted = jobs[0].resources
        asked = {"CPU": wanted.cpus, "GPU": wanted.gpus, "memory": wanted.memory or 0}
        asked = {name: count for name, count in asked.items() if count}
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        if not any(all(node.get(name, 0) >= count for name, count in asked.items()) for node in nodes):
            had = "; ".join(", ".join(f"{name} {node.get(name, 0):g}" for name in asked) for node in nodes)
            text = ", ".join(f"{name} {count:g}" for name, count in asked.items())
            raise DetoxbenchError(f"resources: no node of the cluster has {text}; there are: {had or 'no nodes'}")

    def _look(self, board: Any, jobs: Any, nodes: dict[str, str], tell: Tell) -> None:
        try:
            said = self.ray.get(board.all.remote(), timeout=10)
        except (self.ray.exceptions.GetTimeoutError, self.ray.exceptions.RayActorError):
            return  # how far jobs are is not worth failing for
        for job in jobs:
            node, text = said.get(job.digest, ("", ""))
            if not node:
                continue
            if nodes.get(job.digest) != node:
                again = "again " if job.digest in nodes else ""
                nodes[job.digest] = node
                tell(Event(job, STARTED, f"{again}on node {node}"))
            elif text:
                tell(Event(job, PROGRESS, text))

    def _finished(self, job: Job, reference: Any, schedule: Schedule, tell: Tell) -> None:
        try:
            found = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            found = {"status": 1, "log": str(error).encode(), "result": None, "reason": lines[0] if lines else "lost"}
        if found["status"] == 0:
            tell(Event(job, DONE, log=found["log"], result=found["result"]))
            schedule.done(job)
            return
        text = found.get("reason") or reason(found["log"][-8192:], found["status"])
        tell(Event(job, FAILED, text, log=found["log"]))
        for other in schedule.failed(job):
            tell(Event(other, FAILED, f"{BLOCKED}: {job.label}"))


def _task(job: Job, place: Place, environ: Mapping[str, str], board: Any) -> dict[str, Any]:
    """What Ray runs."""
    import ray

    node = ray.get_runtime_context().get_node_id()

    def say(text: str) -> None:
        board.say.remote(job.digest, node, text)

    say("")
    return perform(job, place, environ, say)
