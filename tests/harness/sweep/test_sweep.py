"""A sweep on ``mini`` in this process: numbers, what a second run does, failures, the command."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from detoxbench.core import results
from detoxbench.core.errors import DetoxbenchError
from detoxbench.harness.cli.sweep import duration, sweep
from detoxbench.harness.sweep import estimate, spec
from detoxbench.harness.sweep.local import InlineEngine
from detoxbench.harness.sweep.run import Folder
from detoxbench.methods.artifact_arguments import declared

RAW = {
    "methods": ["none", {"method": "goodtriever", "fit": {"texts": 40}, "grid": {"alpha": [0.0, 2.0], "k": [64]}}],
    "tasks": "rtp_multilingual_en",
    "limit": 2,
    "samples": 2,
    "metadata": {"fluency_model": "none"},
}


def folder(out, **changes):
    return Folder(spec.parse({**RAW, **changes}), out)


def run(one):
    events = []
    return one.run(InlineEngine(one.place), events.append), [(e.job.kind, e.state) for e in events]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    one = folder(tmp_path_factory.mktemp("sweep") / "out")
    outcome, events = run(one)
    return one, outcome, events


def test_every_cell_is_there_and_readable(done):
    one, outcome, events = done
    assert not outcome.failed
    assert len(outcome.done) == 4
    assert events.count(("fit", "done")) == 1
    runs = [results.read(path) for path in results.find(one.out / "runs")]
    assert sorted(run.model.method for run in runs) == ["goodtriever", "goodtriever", "none"]
    assert all(run.tasks["rtp_multilingual_en"].metrics["measured"] == 2 for run in runs)
    assert {
        json.loads(json.dumps(row))["state"] for row in json.loads((one.out / "sweep.json").read_text())["jobs"]
    } == {"done"}
    assert not (one.out / "work").exists()


def test_a_second_run_does_nothing_whatever_folders_are_called(done):
    one, _, _ = done
    moved = next((one.out / "runs").iterdir())
    moved.rename(moved.with_name("another name"))
    outcome, events = run(one)
    assert events == []
    assert len(outcome.before) == 3


def test_what_is_missing_is_done_and_nothing_else(done):
    one, _, _ = done
    wider = folder(one.out, seeds=[0, 1])
    missing = wider.missing()
    assert len(missing) == 3
    assert all(job.kind == "run" and job.label.endswith("seed=1") for job in missing)
    digest, gone = next((digest, path) for digest, path in one.found().items() if "none" in path.name or path.name)
    (gone / "cell.json").rename(gone / "cell.json.away")
    assert digest in {job.digest for job in one.missing()}
    (gone / "cell.json.away").rename(gone / "cell.json")


def test_a_result_that_was_finished_when_the_sweep_was_killed_is_kept(done, tmp_path):
    one, _, _ = done
    digest, path = next(iter(one.found().items()))
    job = one.plan.jobs[digest]
    work = one.place.work(job) / "run"
    work.parent.mkdir(parents=True)
    path.rename(work)
    assert digest not in one.found()
    outcome, events = run(one)
    assert events == []
    assert digest in one.found()
    assert not outcome.failed


def test_a_failed_cell_is_reported_and_the_rest_goes_on(tmp_path, monkeypatch):
    from detoxbench.harness.sweep import worker

    def do(told, work):
        if told["content"].get("seed") == 1:
            raise DetoxbenchError("the scorer does not answer")
        (work / "run").mkdir(parents=True)
        (work / "run" / "cell.json").write_text(json.dumps({"key": told["content"]["key"]}))

    monkeypatch.setattr(worker, "do", do)
    one = folder(tmp_path / "out", methods="none", seeds=[0, 1, 2])
    outcome, _ = run(one)
    assert (len(outcome.done), list(outcome.failed.values())) == (2, ["the scorer does not answer"])
    record = json.loads((one.out / "sweep.json").read_text())
    [row] = [row for row in record["jobs"] if row["state"] == "failed"]
    assert (one.out / row["log"]).read_text() == "the scorer does not answer\n"
    assert sorted(one.states().values()) == ["done", "done", "failed"]
    assert [job.label for job in one.missing()] == ["mini none rtp_multilingual_en seed=1"]


def test_two_sweeps_do_not_work_in_one_folder(done):
    from filelock import FileLock

    one, _, _ = done
    with FileLock(one.out / ".lock"), pytest.raises(DetoxbenchError, match="another sweep is running there"):
        run(one)


def test_the_command(done, tmp_path):
    one, _, _ = done
    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps({**RAW, "variables": {"n": 2}, "limit": "${n}"}))
    app = typer.Typer()
    app.command()(sweep)

    def typed(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    output = typed(path, "--out", one.out, "--dry-run").output
    assert "3 cells, 1 artifacts" in output
    assert "left to do: about 0 s" in output
    assert "6 cells" not in output
    assert "3 of 3 cells done, 3 of them before" in typed(path, "--out", one.out, "--engine", "inline").output
    assert "to do" in typed(path, "--out", one.out, "--dry-run", "--set", "n=3").output
    assert "datastore_size" in typed("--list").output
    for wrong, message in (
        ([path, "--engine", "slurm"], "Allowed: inline, local, ray"),
        ([path, "--set", "n"], "write name=value"),
        ([path, "--address", "x"], "is of --engine ray"),
        ([tmp_path / "no.yaml"], "cannot be read"),
        ([], "no study"),
    ):
        assert message in str(typed(*wrong).exception)


def test_estimates(done):
    one, _, _ = done
    new = folder(one.out, seeds=[5])
    guessed = estimate.estimates(new.plan.jobs.values())
    measured = estimate.estimates(new.plan.jobs.values(), one.found().values())
    assert {found.source for found in guessed.values()} == {"size"}
    assert {found.source for found in measured.values()} == {"measured"}
    assert all(found.prompts == 2 and found.seconds > 0 and found.memory > 1e9 for found in measured.values())


def test_other_runs_of_a_model_say_what_a_method_takes(monkeypatch):
    def job(method):
        args, metadata = {"pretrained": "mini"}, {"samples": 10}
        content = {
            "model_args": args,
            "method": method,
            "tasks": ["rtp_multilingual_en"],
            "limit": 8,
            "metadata": metadata,
        }
        return SimpleNamespace(digest=method, kind="run", content=content, resources=SimpleNamespace(gpus=0, cpus=1))

    jobs = [job("none"), job("self_debias"), job("rad")]
    monkeypatch.setattr(estimate, "_rates", lambda folders: {("mini", "none"): 0.25, ("another", "none"): 99.0})
    found = estimate.estimates(jobs)
    assert {name: one.source for name, one in found.items()} == {
        "none": "measured", "self_debias": "others", "rad": "others",
    }  # fmt: skip
    assert found["none"].seconds == estimate.START + 80 * 0.25
    for method in ("self_debias", "rad"):
        passes = declared(method).forwards
        assert found[method].seconds == pytest.approx(estimate.START + 80 * 0.25 * passes)
    monkeypatch.setattr(estimate, "_rates", lambda folders: {("another", "none"): 99.0})
    assert {one.source for one in estimate.estimates(jobs).values()} == {"size"}


def test_sizes_of_models():
    named = {"gpt2-large": 774e6, "Qwen/Qwen2.5-7B": 7e9, "bigscience/bloom-560m": 560e6, "ai/x-1.7b-it": 1.7e9}
    for name, size in named.items():
        assert estimate.parameters(name) == pytest.approx(size)
    assert estimate.parameters("ai-forever/mGPT") == 1417e6
    assert estimate.parameters("owner/no-size-in-it") is None
    # Counted from the configuration: token and position embeddings, four layers, the last norm.
    layer = 12 * 192**2 + 13 * 192
    assert estimate.parameters("mini") == (12_500 + 128) * 192 + 4 * layer + 2 * 192


def test_prompts_of_a_file_here_are_counted(tmp_path):
    mine = tmp_path / "mine.jsonl"
    mine.write_text('{"text": "You are", "lang": "en"}\n{"text": "They said", "lang": "en"}\n')
    assert estimate.prompts(["prompts_file"], {"prompts": str(mine)}, None) == 2
    assert estimate.prompts(["prompts_file"], {"prompts": str(mine)}, 1) == 1
    copies = {"path": {"rtp_lx": str(tmp_path / "not there.zip")}}
    assert estimate.prompts(["ptp_de"], copies, None) == 5_000  # a copy of another set
    mine.write_text("no prompt\n")
    assert estimate.prompts(["prompts_file"], {"prompts": str(mine)}, None) is None


def test_numbers_of_prompts():
    assert estimate.prompts(["rtp_multilingual"], {}, None) == 680
    assert estimate.prompts(["rtp_multilingual_en", "rtp_multilingual_fr"], {}, 3) == 6
    assert estimate.prompts(["ptp_de", "ptp_fr"], {}, None) == 10_000
    assert estimate.prompts(["ptp_de"], {"subset": "full"}, None) == 25_000
    assert estimate.prompts(["rtp_toxic_10k"], {}, None) == 10_000
    assert estimate.prompts(["rtp_lx_de"], {}, None) is None
    assert estimate.prompts(["rtp_multilingual_en"], {"prompts": "mine.jsonl"}, None) is None
    assert math.isclose(float(duration(7200).split()[0]), 2)
