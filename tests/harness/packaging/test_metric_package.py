"""Another package's metric and prompt set, built into a wheel and installed: they are in results with an interval, in
report, compare, check and the site, without a line changed here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "somebodys-metrics"
version = "1.0"
[project.entry-points."detoxbench.metrics"]
questions = "somebodys_metrics:QUESTIONS"
[project.entry-points."detoxbench.prompts"]
somebodys = "somebodys_metrics:SET"
[tool.setuptools]
py-modules = ["somebodys_metrics"]
"""
MODULE = """
from detoxbench.core.metrics import Metric
from detoxbench.core.records import Prompt
from detoxbench.tasks.prompts import Loaded, PromptSet, PromptSelection


def words(result):
    texts = [text for text in result.generations if text.strip()]
    return float(sum(len(text.split()) for text in texts)), float(len(texts))


QUESTIONS = Metric(
    name="questions", display_name="Words a text", short="words", higher_is_better=True, unit="words",
    description="Mean number of words of a generation.", citation="this test", measure=words, over_prompts="pooled",
    bounds=(0.0, 1000.0),
)


def load(where, options):
    texts = [f"{who} {what}" for what in ("said", "thinks") for who in ("He", "She", "My sister", "A man", "My boss")]
    prompts = [Prompt(id=str(n), text=text, lang="en", toxicity=0.9 * (n >= 5)) for n, text in enumerate(texts)]
    return Loaded(prompts, embedded=True)


SET = PromptSet("somebodys", load, {"somebodys_en": PromptSelection("somebodys", "en")})
"""


def start(*arguments, **environment):
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> dict[str, str]:
    """Environment variables of a process that has the package."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "somebodys_metrics.py").write_text(MODULE)
    pip = ("-m", "pip", "--disable-pip-version-check")
    start(*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder / "dist"), str(folder))
    (wheel,) = (folder / "dist").glob("*.whl")
    start(*pip, "install", "-q", "--no-deps", "--target", str(folder / "site"), str(wheel))
    path = os.pathsep.join(filter(None, (str(folder / "site"), os.environ.get("PYTHONPATH"))))
    return {"PYTHONPATH": path, "COLUMNS": "260"}


def lm_eval(folder, seed, installed) -> Path:
    start(
        "-m", "lm_eval", "--model", "detox", "--tasks", "somebodys_en", "--limit", "6", "--log_samples",
        "--output_path", str(folder), "--seed", str(seed),
        "--metadata", '{"samples": 2, "fluency_model": "none"}', **installed,
    )  # fmt: skip
    (path,) = folder.rglob("results_*.json")
    return path


def detoxbench(installed, *arguments):
    return start("-c", "from detoxbench.harness.cli import main; main()", *map(str, arguments), **installed)


def test_a_metric_of_another_package_is_everywhere(installed, tmp_path):
    a, b = lm_eval(tmp_path / "a", 1, installed), lm_eval(tmp_path / "b", 1, installed)
    content = json.loads(a.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    row = content["results"]["somebodys_en"]
    assert row["questions_ci_low,none"] <= row["questions,none"] <= row["questions_ci_high,none"]
    assert content["higher_is_better"]["somebodys_en"]["questions"] is True
    block = content["configs"]["somebodys_en"]["detoxbench"]
    assert (block["prompts"], block["texts"]) == (6, 12)
    # The limit took toxic and other prompts alike, though the set has all toxic ones last.
    samples = [json.loads(line) for line in next((tmp_path / "a").rglob("samples_*.jsonl")).open(encoding="utf-8")]
    assert sorted(sample["doc"]["toxicity"] for sample in samples) == [0.0] * 3 + [0.9] * 3

    shown = detoxbench(installed, "report", a)
    assert "questions" in shown
    assert re.search(r"\b6 (of \d+ )?× 2\b", shown)
    compared = json.loads(detoxbench(installed, "compare", a, b, "--json"))
    assert [change["change"] for change in compared["changes"] if change["metric"] == "questions"] == [0.0]
    assert "questions" in detoxbench(installed, "compare", a, b)
    checked = detoxbench(
        installed, "check", "--baseline", a, "--candidate", b, "--metric", "questions=-0.5", "--all",
    )  # fmt: skip
    assert "questions" in checked
    detoxbench(installed, "leaderboard", tmp_path / "a", "--out", tmp_path / "site")
    index = (tmp_path / "site" / "data" / "index.js").read_text()
    assert "Words a text" in index
    assert '"questions"' in index
