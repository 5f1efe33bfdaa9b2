"""The whole chain on the embedded world: lm-eval's files hold every number, and every number can be recomputed."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import lm_eval
import numpy as np
import pytest
import typer

from detoxbench.core import fluency, results
from detoxbench.core.metric_names import NONTOXIC_PROMPTS, TOXIC_PROMPTS
from detoxbench.core.metrics.fractions import fractions, names, of_samples, summarize

METADATA = {"samples": 5}
SAMPLED = {"rtp_multilingual_en": [0, 1, 2, 3, 4, 5], "rtp_multilingual_ja": [0, 1, 2, 3, 4]}


def evaluate(**changes):
    options = {"model": "detox", "tasks": list(SAMPLED), "samples": SAMPLED, "metadata": METADATA, **changes}
    return lm_eval.simple_evaluate(**options)


@pytest.fixture(scope="module")
def run():
    return evaluate()


def number(value):
    """NaN for null."""
    return math.nan if value is None else value


def rows(run, task="rtp_multilingual_en"):
    return sorted(run["samples"][task], key=lambda sample: sample["doc_id"])


def test_results_hold_every_metric_with_its_bounds(run):
    for task in SAMPLED:
        found = run["results"][task]
        for name, metric in of_samples(METADATA["samples"]).items():
            low, value, high = (found[f"{name}{part},none"] for part in ("_ci_low", "", "_ci_high"))
            if low is None or high is None:
                assert name in run["configs"][task]["detoxbench_degenerate"]
            else:
                assert low <= value <= high
            assert np.isfinite(value)
            for subset in (TOXIC_PROMPTS, NONTOXIC_PROMPTS):
                assert (f"{name}{subset},none" in found) is metric.by_prompt_toxicity
        assert found["measured,none"] == len(SAMPLED[task])


def write_files(run, folder):
    """lm-eval's own files of a run."""
    from lm_eval.loggers import EvaluationTracker

    run = dict(run)
    samples = run.pop("samples")
    tracker = EvaluationTracker(output_path=str(folder))
    tracker.general_config_tracker.log_experiment_args("detox", "", None, None, False)
    tracker.save_results_aggregated(results=run, samples=samples)
    for task in SAMPLED:
        tracker.save_results_samples(task_name=task, samples=samples[task])
    (path,) = results.find(folder)
    return results.read(path)


def test_every_number_can_be_recomputed_from_the_samples_file(run, tmp_path):
    """From what lm-eval wrote, without a model."""
    read = write_files(run, tmp_path / "my results")
    assert read.label == "mini, none"
    for task in SAMPLED:
        samples = read.tasks[task].read_samples()
        again = [fractions(sample.result()) for sample in samples]
        assert again == read.tasks[task].rows()
        assert all(len(sample.generations) == METADATA["samples"] for sample in samples)
        summary = summarize(again)
        for name in names(METADATA["samples"]):
            assert summary[name].value == pytest.approx(number(run["results"][task][f"{name},none"]), nan_ok=True)
        for name in of_samples(METADATA["samples"]):
            low = number(run["results"][task][f"{name}_ci_low,none"])
            assert summary[name].low == pytest.approx(low, nan_ok=True)


def test_scored_again_with_the_likelihoods_of_the_run(run, tmp_path, monkeypatch):
    """By the same scorer, with nothing generated and no fluency model: the numbers of the run."""
    from typer.testing import CliRunner

    from detoxbench.core import fluency
    from detoxbench.harness.cli.commands import app

    read = write_files(run, tmp_path / "run")
    monkeypatch.setattr(fluency, "load", None)
    files = [str(path) for task in SAMPLED for path in (tmp_path / "run").rglob(f"samples_{task}_*.jsonl")]
    arguments = ["score", *files, "--scorer", "mini", "--out", str(tmp_path / "again"), "--archive", "none"]
    done = CliRunner().invoke(app, [*arguments, "--fluency-model", "kept"])
    assert done.exit_code == 0, done.output
    [path] = results.find(tmp_path / "again")
    again = results.read(path)
    for task in SAMPLED:
        assert sorted(map(repr, again.tasks[task].rows())) == sorted(map(repr, read.tasks[task].rows()))
        kept, before = again.tasks[task].record, read.tasks[task].record
        assert (kept.fluency_model, kept.fluency_version) == (before.fluency_model, before.fluency_version)
    without = next(path for path in (tmp_path / "again").rglob("generations.jsonl"))
    refused = CliRunner().invoke(app, ["score", str(without), "--scorer", "mini", "--out", str(tmp_path / "no"),
                                       "--archive", "none", "--fluency-model", "kept"])  # fmt: skip
    assert refused.exit_code == 2 or "no likelihoods to keep" in str(refused.exception)


def test_the_record_says_what_the_numbers_depend_on(run):
    block = run["configs"]["rtp_multilingual_en"]["detoxbench"]
    assert block["samples"] == 5
    assert block["scorer"] == "mini"
    assert len(block["scorer_version"]) == len(block["prompts_sha256"]) == 64
    assert block["constants"] == {"toxic": 0.5, "perplexity_cutoff": 10000.0}
    model = run["config"]["detoxbench"]
    assert (model["pretrained"], model["method"], model["seed"]) == ("mini", "none", 1234)
    assert model["tokens"] > 0


def test_text_does_not_depend_on_what_else_runs(run):
    alone = evaluate(tasks=["rtp_multilingual_en"], samples={"rtp_multilingual_en": [4, 0]}, batch_size=3)
    texts = {sample["doc"]["id"]: sample["resps"] for sample in rows(run)}
    for sample in rows(alone):
        assert sample["resps"] == texts[sample["doc"]["id"]]


def test_another_seed_is_another_text(run):
    other = evaluate(tasks=["rtp_multilingual_en"], samples={"rtp_multilingual_en": [0]}, torch_random_seed=7)
    assert rows(other)[0]["resps"] != rows(run)[0]["resps"]


def test_report(run, tmp_path):
    from typer.testing import CliRunner

    from detoxbench.harness.cli.report import report

    write_files(run, tmp_path)
    command = typer.Typer()
    command.command()(report)
    shown = CliRunner().invoke(command, [str(tmp_path)])
    assert shown.exit_code == 0, shown.output
    assert "macro" in shown.output
    printed = json.loads(CliRunner().invoke(command, [str(tmp_path), "--json"]).output)
    (board,) = printed[0]["groups"].values()
    per_task = [task["metrics"]["expected_max_toxicity"]["value"] for task in board["tasks"].values()]
    macro = board["macro"]["expected_max_toxicity"]
    assert macro["value"] == pytest.approx(np.mean(per_task))
    assert macro["low"] is None or macro["low"] <= macro["value"] <= macro["high"]


def test_every_request_type_works(tmp_path):
    """generate_until with stop strings, loglikelihood and rolling loglikelihood, on local data."""
    (tmp_path / "rows.jsonl").write_text('{"a": "The weather is", "b": " nice today."}\n' * 2)
    base = f"dataset_path: json\ndataset_kwargs: {{data_files: {{test: '{tmp_path}/rows.jsonl'}}}}\ntest_split: test\n"
    forms = {
        "greedy": "output_type: generate_until\ndoc_to_text: a\ndoc_to_target: b\n"
        "generation_kwargs: {until: ['.'], max_gen_toks: 12}\nmetric_list: [{metric: exact_match}]\n",
        "conditional": "output_type: loglikelihood\ndoc_to_text: a\ndoc_to_target: b\n"
        "metric_list: [{metric: perplexity}]\n",
        "rolling": "output_type: loglikelihood_rolling\ndoc_to_text: ''\ndoc_to_target: '{{a}}{{b}}'\n"
        "metric_list: [{metric: word_perplexity}]\n",
    }
    for name, form in forms.items():
        (tmp_path / f"{name}.yaml").write_text(f"task: local_{name}\n{base}{form}")
    run = lm_eval.simple_evaluate(
        model="detox",
        tasks=[f"local_{name}" for name in forms],
        task_manager=lm_eval.tasks.TaskManager(include_path=str(tmp_path)),
    )
    assert "." not in run["samples"]["local_greedy"][0]["resps"][0][0]
    nll, _ = fluency.load("mini").score(["The weather is"], [" nice today."])
    assert np.log(run["results"]["local_conditional"]["perplexity,none"]) == pytest.approx(nll[0])
    assert np.isfinite(run["results"]["local_rolling"]["word_perplexity,none"])


def test_works_with_lm_evals_own_hf_model():
    from detoxbench.core import mini

    run = lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": str(mini.MODEL), "device": "cpu"},
        tasks=["rtp_multilingual_en"],
        samples={"rtp_multilingual_en": [0, 1]},
        metadata={"samples": 2, "fluency_model": "none"},
    )
    assert len(run["samples"]["rtp_multilingual_en"][0]["resps"][0]) == 2
    assert run["results"]["rtp_multilingual_en"]["perplexity,none"] is None


def test_a_failed_score_is_counted_and_never_a_number(monkeypatch, caplog):
    from detoxbench.core.scorers import Scores
    from detoxbench.core.scorers.mini import MiniScorer

    original = MiniScorer.score

    def failing(self, texts, lang, prompts=None):
        found = original(self, texts, lang, prompts).values["toxicity"]
        found[::3] = np.nan
        return Scores({"toxicity": found}, ["injected" if np.isnan(v) else None for v in found])

    monkeypatch.setattr(MiniScorer, "score", failing)
    run = evaluate(tasks=["rtp_multilingual_en"], samples={"rtp_multilingual_en": [0, 1, 20]})
    assert run["results"]["rtp_multilingual_en"]["failed_fraction,none"] == pytest.approx(1 / 3, abs=0.1)
    record = rows(run)[0]["measured"]
    assert record["scores"]["toxicity"][0] is None
    assert record["reasons"][0] == "injected"
    assert "could not be scored" in caplog.text


def test_two_processes_give_the_same_results(run, tmp_path):
    """Nine prompts on two ranks: lm-eval pads the shorter rank with repeated requests, which must not count."""
    script = tmp_path / "run.py"
    script.write_text(
        "import json, lm_eval, sys\n"
        f"run = lm_eval.simple_evaluate(model='detox', tasks={list(SAMPLED)!r}, samples={SAMPLED!r},"
        f" metadata={METADATA!r}, model_args={{'device': 'cpu'}})\n"
        "if run: json.dump({k: run[k] for k in ('results', 'samples')}, open(sys.argv[1], 'w'), default=str)\n"
    )
    command = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", str(script)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*command, str(tmp_path / "out.json")], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    other = json.loads(Path(tmp_path / "out.json").read_text())
    for task in SAMPLED:
        texts = {s["doc"]["id"]: s["filtered_resps"][0] for s in run["samples"][task]}
        assert {s["doc"]["id"]: s["filtered_resps"][0] for s in other["samples"][task]} == texts
        for name, value in run["results"][task].items():
            if name.endswith(",none") and isinstance(value, float):
                assert other["results"][task][name] == pytest.approx(value, rel=1e-9, nan_ok=True), name
