"""A broken method is caught: Goodtriever with its two datastores exchanged, which is the sign of alpha flipped."""

from __future__ import annotations

import json
from pathlib import Path

import lm_eval
import pytest
import typer
from lm_eval.loggers import EvaluationTracker
from typer.testing import CliRunner

from detoxbench.core.mini import corpus
from detoxbench.harness.cli.check import check
from detoxbench.methods.retrieval import fit as goodtriever
from detoxbench.methods.training.texts import Texts

TASK = "rtp_multilingual_en"
PROMPTS, K, SENTENCES = 24, 5, 300


def measure(folder: Path, **stores: Path) -> Path:
    """lm-eval's own files of one run of the method."""
    arguments = {name: str(path) for name, path in stores.items()}
    found = lm_eval.simple_evaluate(
        model="detox", model_args={"method": "goodtriever", **arguments}, tasks=[TASK], limit=PROMPTS,
        metadata={"samples": K}, log_samples=True,
    )  # fmt: skip
    assert found is not None
    samples = found.pop("samples")
    tracker = EvaluationTracker(output_path=str(folder))
    tracker.general_config_tracker.log_experiment_args("detox", "", None, None, False)
    tracker.save_results_aggregated(results=found, samples=samples)
    tracker.save_results_samples(task_name=TASK, samples=samples[TASK])
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("broken")
    rows: dict[str, list[str]] = {"toxic": [], "nontoxic": []}
    for sentence in corpus.sentences("en", 4):
        rows["toxic" if sentence.toxic else "nontoxic"].append(json.dumps({"text": sentence.text}))
    for side, lines in rows.items():
        (folder / f"{side}.jsonl").write_text("\n".join(lines[:SENTENCES]), encoding="utf-8")
    texts = {side: Texts([str(folder / f"{side}.jsonl")], side) for side in rows}
    goodtriever.fit("mini", folder / "ds", exact=True, device="cpu", **texts)  # type: ignore[arg-type]
    toxic, nontoxic = folder / "ds" / "toxic", folder / "ds" / "nontoxic"
    return (
        measure(folder / "good", toxic_datastore=toxic, nontoxic_datastore=nontoxic),
        measure(folder / "broken", toxic_datastore=nontoxic, nontoxic_datastore=toxic),
    )


def run(baseline, candidate):
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(check)
    options = ["--metric", "expected_max_toxicity=+0.02", "--no-github"]
    return CliRunner().invoke(app, ["--baseline", str(baseline), "--candidate", str(candidate), *options])


def test_exchanged_experts_are_caught(runs):
    good, broken = runs
    found = run(good, broken)
    assert found.exit_code == 1, found.output
    assert "REGRESSION" in found.output


def test_the_repair_passes(runs):
    good, broken = runs
    assert run(broken, good).exit_code == 0
    assert run(good, good).exit_code == 0
