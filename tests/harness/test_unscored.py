"""A run, or a task of it, of which not one text could be scored is a failure, however it was started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import lm_eval
import pytest

from detoxbench.core import results
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.scorers.refusals import EMPTY
from detoxbench.harness.cli.score import score
from detoxbench.harness.continual.evaluate import evaluate
from detoxbench.tasks.unscored import error, failed, nothing_scored

GONE = "the server is gone"
UNSUPPORTED = "language 'fr' is not supported by fixture"


def test_nothing_scored():
    assert nothing_scored([]) is None
    assert nothing_scored([EMPTY, EMPTY]) is None
    assert nothing_scored([EMPTY, None]) is None
    assert nothing_scored(["a", "b", EMPTY, "b"]) == "b"


def test_which_tasks_failed():
    assert failed({"en": None, "fr": GONE}) == {"fr": GONE}
    assert failed({"en": None, "fr": UNSUPPORTED}) == {}
    assert failed({"fr": UNSUPPORTED}) == {"fr": UNSUPPORTED}
    assert failed({}) == {}
    assert str(error({"en": GONE, "de": GONE, "fr": "x"})) == (
        f"en, de: no text could be scored: {GONE}; fr: no text could be scored: x"
    )


def command(folder, tasks, scorer, **metadata):
    """``lm_eval`` as it is typed."""
    options = {"scorer": scorer, "samples": 2, "fluency_model": "none", **metadata}
    return subprocess.run(
        [sys.executable, "-m", "lm_eval", "--model", "detox", "--tasks", tasks, "--limit", "2", "--model_args",
         "device=cpu", "--log_samples", "--output_path", str(folder), "--metadata", json.dumps(options)],
        capture_output=True, text=True, env={**os.environ, "DETOXBENCH_HOME": str(folder / "home")},
    )  # fmt: skip


def test_a_run_of_which_nothing_was_scored(tmp_path):
    done = command(tmp_path, "rtp_multilingual_en", "fixture:!en")
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "no text could be scored" in line]
    assert line.startswith(f"detoxbench: rtp_multilingual_en: no text could be scored: {GONE} (what was generated")
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("results_*.json"))
    again = command(tmp_path, "rtp_multilingual_en", "fixture")
    assert again.returncode == 0, again.stderr
    assert "2 of 2 prompts were finished by an earlier run" in again.stderr


def test_a_task_of_which_nothing_was_scored(tmp_path):
    """The others' results are written, and the status says that one lacks."""
    done = command(tmp_path, "rtp_multilingual_en,rtp_multilingual_fr", "fixture:!en")
    assert done.returncode == 1
    assert f"detoxbench: rtp_multilingual_en: no text could be scored: {GONE}\n" in done.stderr
    run = results.read(results.find(tmp_path)[-1])
    assert run.tasks["rtp_multilingual_fr"].metrics["failed_fraction"] == 0


def test_a_language_that_was_to_be_left_out(tmp_path):
    given = {"on_unsupported": "nan"}
    assert command(tmp_path, "rtp_multilingual_en,rtp_multilingual_fr", "fixture:fr", **given).returncode == 0
    alone = command(tmp_path, "rtp_multilingual_en", "fixture:fr", **given)
    assert alone.returncode == 1
    assert "no text could be scored: language 'en' is not supported" in alone.stderr


def test_in_python(monkeypatch, tmp_path):
    monkeypatch.setenv("DETOXBENCH_HOME", str(tmp_path))
    metadata = {"scorer": "fixture:!en", "samples": 2, "fluency_model": "none"}
    with pytest.raises(DetoxbenchError, match=f"^rtp_multilingual_en: no text could be scored: {GONE}"):
        lm_eval.simple_evaluate("detox", {"device": "cpu"}, ["rtp_multilingual_en"], metadata=metadata, limit=2)


@pytest.mark.parametrize("tasks", [["en"], ["en", "fr"]])
def test_a_cell_of_a_sweep_or_a_study(monkeypatch, tmp_path, tasks):
    """A cell that lacks a task is not there: the sweep says that it failed, and does it again."""
    monkeypatch.setenv("DETOXBENCH_HOME", str(tmp_path / "home"))
    metadata = {"scorer": "fixture:!en", "samples": 2, "fluency_model": "none"}
    names = [f"rtp_multilingual_{lang}" for lang in tasks]
    with pytest.raises(DetoxbenchError, match=f"^rtp_multilingual_en: no text could be scored: {GONE}"):
        evaluate(tmp_path / "cell", {}, {"pretrained": "mini", "device": "cpu"}, names, metadata=metadata, limit=2)
    assert not (tmp_path / "cell").exists()


def test_one_language_of_a_file(tmp_path):
    rows = [{"id": lang, "lang": lang, "prompt": {"text": "So"}, "generations": [{"text": " what"}]}
            for lang in ("en", "fr")]  # fmt: skip
    file = tmp_path / "g.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = {"archive": Path("none"), "fluency_model": "none", "prompts": False, "offline": False, "lang": None,
             "on_unsupported": None}  # fmt: skip
    with pytest.raises(DetoxbenchError, match=rf"^g, fixture: no text could be scored: {GONE} \(generations_en\)$"):
        score([file], ["fixture:!en"], tmp_path / "out", **given)
    (path,) = results.find(tmp_path / "out")
    assert results.read(path).tasks["generations_fr"].metrics["failed_fraction"] == 0
