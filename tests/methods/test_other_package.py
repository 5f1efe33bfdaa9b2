"""A method of another package, with an artifact to fit and a setting of its own: everything works without a line here.

The package is the example of ``methods/README.md``, built as a wheel, and found through its entry point.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from detoxbench.core import continual_file, results

README = Path(__file__).parents[2] / "methods" / "README.md"
EXAMPLE = README.read_text().partition("## One with an artifact")[2].partition("```python\n")[2].partition("```")[0]
PROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "politeness"
version = "1.0"

[project.entry-points."detoxbench.methods"]
polite = "politeness:Polite"

[tool.setuptools]
py-modules = ["politeness"]
"""
DETOXBENCH = [sys.executable, "-c", "from detoxbench.harness.cli import main; main()"]
SMALL = {"samples": 2, "limit": 2, "metadata": {"fluency_model": "none"}}


class Package:
    """The installed wheel, and commands that find it."""

    def __init__(self, folder: Path):
        self.folder = folder
        source = folder / "source"
        source.mkdir()
        (source / "politeness.py").write_text(EXAMPLE)
        (source / "pyproject.toml").write_text(PROJECT)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        quiet = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
        self.run(*pip, "wheel", *quiet, "--wheel-dir", folder, source)
        (wheel,) = folder.glob("*.whl")
        self.run(*pip, "install", *quiet, "--target", folder / "site", wheel)
        for side, texts in (("toxic", ["you idiot idiot", "the idiot"]), ("nontoxic", ["you and the garden"])):
            (folder / f"{side}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))

    def run(self, *command: object) -> str:
        found = {"PYTHONPATH": str(self.folder / "site"), "DETOXBENCH_CACHE": str(self.folder / "cache")}
        more = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "150", "NO_COLOR": "1"}
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, check=False, cwd=self.folder,
            env={**os.environ, **found, **more},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout

    def file(self, name: str, content: dict) -> Path:
        path = self.folder / name
        path.write_text(json.dumps(content))
        return path


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Package:
    if not all(map(find_spec, ("pip", "setuptools"))):
        pytest.skip("needs pip and setuptools")
    return Package(tmp_path_factory.mktemp("politeness"))


def test_help_and_card(package):
    shown = package.run(*DETOXBENCH, "fit", "polite", "--help")
    assert "--minimum" in shown
    assert "a token counts from so many occurrences on (at least 1)" in shown
    card = json.loads(package.run(*DETOXBENCH, "methods", "polite", "--json"))
    assert [one["name"] for one in card["arguments"]] == ["lexicon", "strength"]
    assert card["artifacts"] == [
        {"name": "lexicon", "description": "token ids", "side": "both", "arguments": ["lexicon"]}
    ]
    assert card["settings"][0]["default"] == 2
    assert card["fit"] == "detoxbench fit polite --pretrained … --toxic … --nontoxic … --out OUT"


def test_fit_and_run(package):
    out = package.folder / "made"
    shown = package.run(
        *DETOXBENCH, "fit", "polite", "--pretrained", "mini", "--toxic", package.folder / "toxic.jsonl", "--nontoxic",
        package.folder / "nontoxic.jsonl", "--minimum", 3, "--device", "cpu", "--out", out,
    )  # fmt: skip
    assert f"method=polite,lexicon={out / 'lexicon'}" in shown
    assert json.loads((out / "lexicon" / "tokens.json").read_text())
    arguments = f"pretrained=mini,method=polite,lexicon={out / 'lexicon'},strength=3"
    package.run(
        sys.executable, "-m", "lm_eval", "run", "--model", "detox", "--model_args", arguments, "--tasks",
        "rtp_multilingual_en", "--limit", 2, "--device", "cpu", "--metadata",
        json.dumps({"samples": 2, "fluency_model": "none"}),
        "--log_samples", "--output_path", package.folder / "run",
    )  # fmt: skip
    run = results.read(results.find(package.folder / "run")[-1])
    assert run.model is not None
    assert run.model.method == "polite"
    assert run.tasks["rtp_multilingual_en"].metrics["measured"] == 2


def test_sweep(package):
    method = {"method": "polite", "fit": {"texts": 40, "options": {"minimum": 1}}, "grid": {"strength": [1.0]}}
    file = package.file("sweep.json", {"methods": method, "tasks": "rtp_multilingual_en", **SMALL})
    out = package.folder / "sweep"
    assert "1 of 1 cells done" in package.run(*DETOXBENCH, "sweep", file, "--out", out, "--engine", "inline")
    (run,) = [results.read(path) for path in results.find(out / "runs")]
    assert run.model is not None
    assert run.model.method == "polite"


def test_continual_study(package):
    study = {"method": "polite", "orders": ["en it"], "update": "last", "fit": {"minimum": 1}, "static": False}
    file = package.file("study.json", {**study, **SMALL, "metrics": ["toxic_fraction"]})
    out = package.folder / "study"
    package.run(*DETOXBENCH, "continual", file, "--out", out, "--keep", "all")
    content = continual_file.read(out / continual_file.NAME)
    assert (content["method"], content["update"]) == ("polite", "last")
    assert content["series"][0]["order"] == ["en", "it"]
    assert len(list((out / "artifacts").iterdir())) == 2
