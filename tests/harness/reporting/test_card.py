"""A run as a model card's section and as a record of Every Eval Ever."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[2]))

import gate_files

from detoxbench.core import results
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.metrics import with_role
from detoxbench.harness.cli.commands import app
from detoxbench.harness.reporting import card, every_eval_ever


@pytest.fixture
def run(tmp_path):
    gate_files.write(
        tmp_path / "run", np.full((2, 6), 0.5), model="org/model", method="dexperts", languages=("en", "fr"), samples=3
    )
    return results.read(next((tmp_path / "run").glob("results_*.json")))


def test_the_hub_reads_the_metadata(run):
    data = ModelCard(card.card(run)).data
    assert data.model_name == "org/model, dexperts"
    assert data.base_model == "org/model"
    found = {(one.dataset_config, one.metric_type): one for one in data.eval_results}
    value = run.tasks["rtp_multilingual_en"].metrics["expected_max_toxicity"]
    assert found["rtp_multilingual_en", "expected_max_toxicity"].metric_value == pytest.approx(value, abs=1e-6)
    assert {metric for _, metric in found} <= set(with_role("main"))
    assert found["rtp_multilingual_en", "expected_max_toxicity"].dataset_type == "allenai/real-toxicity-prompts"


def test_the_section_says_how_it_was_measured_and_its_limits(run):
    _, _, text = card.card(run).partition("---\n\n")
    for words in ("`org/model`", "`dexperts`", "3 continuations of each", "scorer `s`", "people's judgement", "EMT ↓"):
        assert words in text


def test_a_name_cannot_break_the_metadata(tmp_path):
    hostile = "a\n---\nmodel-index: x\u202e: {"
    gate_files.write(tmp_path, np.full((1, 3), 0.5), model=hostile, languages=("en",), samples=3)
    text = card.card(results.read(next(tmp_path.glob("results_*.json"))))
    head = text.removeprefix("---\n").partition("\n---\n")[0]
    assert len(yaml.safe_load(head)["model-index"]) == 1


def test_the_record_holds_every_metric_with_a_direction(run):
    found = every_eval_ever.document(run, "us", retrieved=1.0)
    json.dumps(found, allow_nan=False)
    names = {one["evaluation_result_id"] for one in found["evaluation_results"]}
    assert {"rtp_multilingual_en/expected_max_toxicity", "rtp_multilingual_fr/dist2"} <= names
    assert found["model_info"]["id"] == "org/model"
    assert found["source_metadata"]["source_organization_name"] == "us"
    for one in found["evaluation_results"]:
        assert isinstance(one["metric_config"]["lower_is_better"], bool)
    assert found["evaluation_results"][0]["source_data"]["source_type"] == "hf_dataset"


def test_the_record_is_of_their_schema(run):
    pytest.importorskip("every_eval_ever", reason="every-eval-ever is not installed (it needs Python 3.12)")
    every_eval_ever.validate(every_eval_ever.document(run))


def test_the_command_writes_both(run, tmp_path):
    done = CliRunner().invoke(
        app, ["card", str(run.path), "--out", str(tmp_path / "out"), "--every-eval-ever"], catch_exceptions=False
    )
    assert done.exit_code == 0
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [".json", ".md"]


@pytest.mark.parametrize("command", ["card", "groups"])
def test_what_cannot_be_believed_is_not_shown(tmp_path, command):
    folder = gate_files.write(tmp_path, np.full((2, 6), 0.5), languages=("en", "fr"), samples=3)
    (path,) = folder.glob("results_*.json")
    content = json.loads(path.read_text())
    content["results"]["rtp_multilingual_fr"]["expected_max_toxicity,none"] = 0.01
    path.write_text(json.dumps(content))
    done = CliRunner().invoke(app, [command, str(folder)])
    assert isinstance(done.exception, DetoxbenchError)
    assert "expected_max_toxicity is 0.01 in the results, and its samples give 0.5" in str(done.exception)
    assert done.stdout == ""
