"""Results that lm-eval could not save are an error of the run, and nothing of a file stays."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from lm_eval.loggers import EvaluationTracker

from detoxbench.core.errors import DetoxbenchError
from detoxbench.harness import saving

TASK = "rtp_multilingual_en"
ROW = {"doc_id": 0, "doc_hash": "d", "prompt_hash": "p", "target_hash": "t", "arguments": [["a", {}]], "resps": [["x"]],
       "filtered_resps": ["x"], "target": ""}  # fmt: skip


@pytest.fixture
def results(monkeypatch):
    monkeypatch.setattr(saving, "_has_ours", lambda results: "ours" in results)
    return {"ours": True, "results": {}}


def save(folder, results, rows=2):
    tracker = EvaluationTracker(output_path=str(folder))
    tracker.general_config_tracker.log_experiment_args("detox", {}, None, None, False)
    tracker.general_config_tracker.model_name_sanitized = "mini"
    samples = [dict(ROW) for _ in range(rows)]
    tracker.save_results_aggregated(results=results, samples={TASK: [dict(ROW) for _ in range(rows)]})
    tracker.save_results_samples(task_name=TASK, samples=samples)


def full(monkeypatch, suffix):
    """A disk that is full once a file of that kind has its first bytes."""
    write_text, writer = Path.write_text, open

    def some(self, text, *args, **kwargs):
        if self.suffix == suffix:
            write_text(self, text[:7], *args, **kwargs)
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return write_text(self, text, *args, **kwargs)

    def opened(path, *args, **kwargs):
        if str(path).endswith(suffix):
            writer(path, "w").close()
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return writer(path, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", some)
    monkeypatch.setattr("builtins.open", opened)


@pytest.mark.parametrize("output", ["out", "out/results.json"])
def test_what_is_whole_stays(tmp_path, results, output):
    save(tmp_path / output, results)
    (kept,) = (tmp_path / "out").rglob("results_*.json")
    assert json.loads(kept.read_text())["ours"] is True
    (samples,) = (tmp_path / "out").rglob("samples_*.jsonl")
    assert len(samples.read_text().splitlines()) == 2


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_a_full_disk(tmp_path, results, monkeypatch, suffix):
    full(monkeypatch, suffix)
    with pytest.raises(DetoxbenchError, match=rf"_.*{suffix}' was not written whole") as error:
        save(tmp_path / "out", results)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "out").rglob(f"*{suffix}"))


def test_the_cause_is_said_where_it_lasts(tmp_path, results, monkeypatch):
    def refused(*_, **__):
        raise saving.WriteError("x") from OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(saving, "write_text", refused)
    full(monkeypatch, ".json")
    with pytest.raises(DetoxbenchError, match=r"cannot write '.*results_.*\.json': Read-only file system"):
        save(tmp_path / "out", results)


def test_results_of_others_are_lm_evals_own(tmp_path, results, monkeypatch):
    full(monkeypatch, ".json")
    tracker = EvaluationTracker(output_path=str(tmp_path))
    tracker.save_results_aggregated(results={"results": {}}, samples=None)
    tracker.save_results_samples(task_name="hellaswag", samples=[])


def test_an_output_that_cannot_be_is_refused_before_the_run(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DetoxbenchError, match=r"cannot write '.*file/out'"):
        saving.check_folder(EvaluationTracker(output_path=str(tmp_path / "file" / "out")))
    saving.check_folder(EvaluationTracker(output_path=str(tmp_path / "new" / "results.json")))
    assert not list((tmp_path / "new").iterdir())
    saving.check_folder(None)
