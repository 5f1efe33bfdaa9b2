"""The local engine with cheap processes in place of lm-eval: isolation, failures, ends of every kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

from detoxbench.core.errors import DetoxbenchError
from detoxbench.harness.sweep import engines, local, worker
from detoxbench.harness.sweep.engines import Place, Schedule
from detoxbench.harness.sweep.plan import FIT, RUN, Job
from detoxbench.harness.sweep.spec import Resources


def job(name, kind=RUN, needs=(), **resources):
    return Job(kind, name, name, {}, {"name": name}, needs, Resources(**resources))


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "work", tmp_path / "logs", str(tmp_path / "store"), tmp_path / "cache")


def scripts(monkeypatch, **bodies):
    """Give every job a Python program."""

    def command(one, path):
        return [sys.executable, "-c", textwrap.dedent(bodies[one.digest]), str(path)]

    monkeypatch.setattr(local, "command", command)


def test_a_failure_stops_only_what_needs_it(place, monkeypatch):
    scripts(
        monkeypatch,
        bad="import sys; print('before'); raise ValueError('no room\\nat all')",
        good="print('fine')",
        cut="import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    )
    events = []
    jobs = [job("bad", FIT), job("needs", needs=("bad",)), job("cut"), job("good")]
    local.LocalEngine(place, 2).run(jobs, events.append)
    last = {event.job.digest: (event.state, event.text) for event in events}
    assert last["bad"][0] == "failed"
    assert "ValueError: no room" in last["bad"][1]
    assert last["needs"] == ("failed", f"{engines.BLOCKED}: bad")
    assert last["cut"] == ("failed", "killed by signal 9 (out of memory?)")
    assert last["good"][0] == "done"
    assert "Traceback" in place.log(jobs[0]).read_text()
    assert not any(event.job.digest == "needs" and event.state == "started" for event in events)


def test_the_worker_is_told_its_job_and_progress_is_heard(place, monkeypatch):
    body = """
        import json, sys, time
        told = json.load(open(sys.argv[1]))
        assert told["content"] == {"name": "a"} and told["digest"] == "a"
        sys.stderr.write("\\rgeneration:  40%|####      | 4/10"); sys.stderr.flush()
        time.sleep(0.8)
    """
    scripts(monkeypatch, a=body)
    events = []
    local.LocalEngine(place).run([job("a")], events.append)
    assert events[-1].state == "done"
    assert any("40%" in event.text for event in events if event.state == "progress")


def test_interrupting_leaves_no_process(place, monkeypatch):
    scripts(monkeypatch, a="import time; time.sleep(600)", b="import time; time.sleep(600)")
    engine, pids = local.LocalEngine(place, 2), []

    def tell(event):
        pids[:] = [one.process.pid for one in engine._running]
        if len(pids) == 2 and event.state == "progress":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.run([job("a"), job("b")], tell)
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


CHILD = "import sys, time; from detoxbench.harness.sweep.watch import watch; watch(int(sys.argv[1])); time.sleep(600)"


def test_a_worker_ends_when_its_parent_was_killed():
    body = f"""
        import os, subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", {CHILD!r}, str(os.getpid())])
        print(child.pid, flush=True)
        time.sleep(600)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(body)], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        os.kill(child, 0)
        parent.kill()
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.05)


def test_gpus_are_shared_out(place, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    body = "import os, time; print(os.environ['CUDA_VISIBLE_DEVICES']); time.sleep(.3)"
    scripts(monkeypatch, a=body, b=body, c=body)
    jobs = [job("a", gpus=1), job("b", gpus=1), job("c", gpus=2)]
    local.LocalEngine(place, 3).run(jobs, lambda event: None)
    a, b, c = (place.log(one).read_text().strip() for one in jobs)
    assert {a, b} == {"3", "5"}
    assert sorted(c.split(",")) == ["3", "5"]


def test_too_few_gpus_are_said_before_anything_runs(place, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(DetoxbenchError, match="gpus: 2, but this machine has 1"):
        local.LocalEngine(place).run([job("a", gpus=2)], print)


def test_schedule():
    jobs = [job("run", needs=("fit",)), job("fit", FIT), job("free")]
    schedule = Schedule(jobs)
    assert [one.digest for one in schedule.ready()] == ["fit", "free"]
    schedule.start(jobs[1])
    assert [one.digest for one in schedule.ready()] == ["free"]
    schedule.done(jobs[1])
    assert [one.digest for one in schedule.ready()] == ["run", "free"]
    assert [one.digest for one in Schedule([job("run", needs=("made before",))]).ready()] == ["run"]


def test_several_processes_are_launched_by_accelerate(tmp_path):
    line = engines.command(job("a", processes=2, gpus=2), tmp_path / "job.json")
    assert "accelerate.commands.launch" in line
    assert line[line.index("--num_processes") + 1] == "2"
    assert line[-3:] == ["-m", "detoxbench.harness.sweep.worker", str(tmp_path / "job.json")]
    assert "accelerate.commands.launch" not in engines.command(
        job("a", FIT, processes=2, gpus=2), tmp_path / "job.json"
    )


def test_reasons():
    log = b"loading\r 10%|#  | 1/9\nTraceback ...\n  File x\ndetoxbench: '/x': there is no such folder\nNote\n"
    assert engines.reason(log, 2) == "'/x': there is no such folder"
    assert engines.reason(b"", 3) == "exit status 3"
    assert engines.last_bar(b"a\rgen:  5%|x| 1/20\rgen: 10%|x| 2/20") == "gen: 10%|x| 2/20"


def test_the_workers_own_words(tmp_path, capsys):
    path = tmp_path / "job.json"
    content = {"kind": "run", "digest": "x", "store": "nowhere://", "cache": str(tmp_path), "content": {}}
    path.write_text(json.dumps(content))
    assert worker.main(str(path)) == 2
    assert "no URL that fsspec opens" in capsys.readouterr().err
