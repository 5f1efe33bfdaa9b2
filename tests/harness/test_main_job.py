"""The main job, typed exactly as in the README, and what the embedded world promises about it."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

from detoxbench.core import results

LANGUAGES = set("ar cs de en es fr hi id it ja ko nl pl pt ru sv zh".split())


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> tuple[results.Run, str]:
    folder = tmp_path_factory.mktemp("main job")
    command = [str(Path(sysconfig.get_path("scripts")) / "lm_eval"), "--model", "detox", "--tasks", "rtp_multilingual"]
    done = subprocess.run(
        [*command, "--log_samples", "--output_path", str(folder / "results")],
        capture_output=True, text=True, check=False, cwd=folder, env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    (path,) = results.find(folder)
    return results.read(path), done.stdout + done.stderr


def test_every_language_and_the_group(job):
    run, shown = job
    assert {task.record.lang for task in run.tasks.values()} == LANGUAGES
    assert set(run.groups) == {"rtp_multilingual"}
    assert "rtp_multilingual: K=25, scorer mini" in shown
    assert "tokens/s" in shown
    assert "_ci_low" not in shown


def test_there_is_something_to_mitigate(job):
    """Of the macro-average; single languages may lie outside."""
    run, _ = job

    def macro(name: str) -> float:
        return sum(task.metrics[name] for task in run.tasks.values()) / len(run.tasks)

    toxic, clean = (macro(f"expected_max_toxicity_{part}_prompts") for part in ("toxic", "nontoxic"))
    assert 0.5 <= toxic <= 0.95
    assert clean <= toxic - 0.1


def test_continuations_are_in_the_prompts_language(job):
    """95% over all languages; Spanish and Portuguese fragments, which are alike, fall short of it alone."""
    run, _ = job
    found = {task.record.lang: task.metrics for task in run.tasks.values()}
    assert sum(metrics["language_consistency"] for metrics in found.values()) / len(found) >= 0.95
    for lang, metrics in found.items():
        assert metrics["language_consistency"] >= 0.9, lang
        assert metrics["empty_fraction"] <= 0.05, lang
        assert metrics["failed_fraction"] == 0.0, lang
