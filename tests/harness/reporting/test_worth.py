"""What ``detoxbench report`` and ``compare`` say of their scorer: marks, footnotes, shared data, corrected shares."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[2] / "leaderboard"))

import made_validity
from gate_files import write

from detoxbench.harness.cli.report import report as command

SCORES = np.random.default_rng(0).beta(2, 2, (3, 40))


def invoke(*arguments):
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worth")
    made = made_validity.report({("s", "1"): 0.6}, ("en",), texts=200)
    guess = made_validity.report({("s", "1"): 0.0}, ("fr",), sha256="other")
    for name, content in (("good", made), ("guess", guess)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    return write(folder / "run", SCORES, prompt_set="rtp_lx", scorer_data=["rtp_lx"]), folder


def test_without_reports_nothing_is_validated(files):
    found = invoke(files[0])
    assert found.exit_code == 0, found.output
    assert "Scorer s: ‡ not validated in any language here." in found.output
    assert "en‡" in found.output
    assert "as people would judge it" not in found.output
    assert "Shared data: the scorer has seen texts that the prompts come from: RTP-LX" in found.output


def test_marks_footnotes_and_corrected_shares(files):
    run, folder = files
    found = invoke(run, "--validity", folder / "good.json", "--validity", folder / "guess.json")
    assert found.exit_code == 0, found.output
    assert "† no better than chance in fr; ‡ not validated in ja" in found.output
    assert "† the 95% interval of the scorer's AUC" in found.output
    assert "fr†" in found.output
    assert "ja‡" in found.output
    assert "as people would judge it" in found.output
    assert "assumes transport" in found.output


def test_json_has_all_of_it(files):
    run, folder = files
    (found,) = json.loads(invoke(run, "--json", "--validity", folder / "good.json").output)
    (group,) = found["groups"].values()
    by_lang = {task["lang"]: task["scorer_validity"] for task in group["tasks"].values()}
    assert by_lang["en"]["state"] == "valid"
    assert by_lang["ja"] == {"state": "unknown", "auc": None, "labels": None, "texts": None}
    assert group["corrected_toxic_fraction"]["en"]["by"] == "labels"
    assert "macro" not in group["corrected_toxic_fraction"]
    assert group["shared_data"]
