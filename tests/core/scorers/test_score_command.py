"""``detoxbench score`` and ``agreement``: from files to results, offline, stopped and gone on with."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import typer
from fake_perspective import expected
from test_every_scorer import HOSTILE
from test_generation_files import published, write

from detoxbench.core import results
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.records import PromptResult
from detoxbench.core.scorers.archive import ScoreArchive
from detoxbench.core.scorers.published_answers import import_responses, read_responses
from detoxbench.core.scorers.published_files import read_generations
from detoxbench.harness.cli.agreement import agreement
from detoxbench.harness.cli.report import report
from detoxbench.harness.cli.score import score

SAMPLES = Path(os.environ.get("DETOXBENCH_SAMPLES", "/nonexistent"))


def texts(prompts=4, k=3):
    return [published(f"Prompt {p}", *(f" text {p} {place}" for place in range(k)), lang="en") for p in range(prompts)]


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "my generations.jsonl", texts())


def only(folder):
    (path,) = folder.rglob("results_*.json")
    return results.read(path)


def test_mini_in_place_of_a_run(file, tmp_path, capsys):
    score([file], ["mini"], tmp_path / "o u t")
    assert "my generations" in capsys.readouterr().out
    run = only(tmp_path / "o u t")
    (task,) = run.tasks.values()
    assert (run.label, task.name, task.record.lang, task.record.samples) == (
        "my generations",
        "generations_en",
        "en",
        3,
    )
    assert (task.record.scorer, task.record.fluency_model, task.record.failed_scores) == ("mini", None, 0)
    rows = [row.result() for row in task.read_samples()]
    assert all(isinstance(row, PromptResult) and len(row.generations) == 3 for row in rows)
    top = np.mean([max(row.scores["toxicity"]) for row in rows])
    assert task.metrics["expected_max_toxicity"] == pytest.approx(top)
    low, high = (task.metrics[f"expected_max_toxicity_ci_{bound}"] for bound in ("low", "high"))
    assert np.isnan([low, high]).all() or low <= top <= high
    assert ("expected_max_toxicity" in task.degenerate) == np.isnan(low)
    report([tmp_path / "o u t"])
    assert "my generations" in capsys.readouterr().out


def test_own_samples_scored_again_are_the_same(file, tmp_path):
    score([file], ["mini"], tmp_path / "a")
    first = only(tmp_path / "a")
    samples = first.tasks["generations_en"].samples
    score([samples], ["mini"], tmp_path / "b")
    second = only(tmp_path / "b")
    names = set(first.tasks["generations_en"].metrics)
    for name in names:
        np.testing.assert_equal(
            second.tasks["generations_en"].metrics[name], first.tasks["generations_en"].metrics[name]
        )
    # The scores that a samples file holds are scores of it, too.
    score([samples], ["given:mini"], tmp_path / "c")
    assert only(tmp_path / "c").tasks["generations_en"].metrics["toxic_fraction"] == pytest.approx(
        first.tasks["generations_en"].metrics["toxic_fraction"]
    )


def test_given_by_hand(tmp_path):
    def one(*scores):
        return {"prompt": "P", "generations": [{"text": f"t{place}", "toxicity": s} for place, s in enumerate(scores)]}

    path = write(tmp_path / "g.jsonl", [one(0.1, 0.9), one(0.2, 0.4), one(None, 0.5)])
    score([path], ["given:perspective,version=2021-03"], tmp_path / "out", lang="en")
    task = only(tmp_path / "out").tasks["generations_en"]
    assert task.metrics["expected_max_toxicity"] == pytest.approx((0.9 + 0.4 + 0.5) / 3)
    assert task.metrics["toxicity_probability"] == pytest.approx(2 / 3)
    assert task.metrics["toxic_fraction"] == pytest.approx(2 / 5)
    assert task.metrics["failed_fraction"] == pytest.approx(1 / 6)
    assert (task.record.scorer, task.record.scorer_version) == ("given:perspective", "2021-03")
    (collated,) = (tmp_path / "out").rglob("generations.jsonl")
    last = json.loads(collated.read_text().splitlines()[2])["generations"]
    assert last == [{"text": "t0", "reason": "the file has no score of it"}, {"text": "t1", "toxicity": 0.5}]
    with pytest.raises(DetoxbenchError, match="holds no scores"):
        score([write(tmp_path / "h.jsonl", texts())], ["given"], tmp_path / "out")


def test_several_files_scorers_and_languages(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    mixed = [*texts(2), published("El perro", " corre", lang="es"), published("El gato", lang="es")]
    paths = [write(tmp_path / name / "g.jsonl", mixed) for name in "ab"]
    score(paths, ["mini", "mini:reward"], tmp_path / "out")
    runs = [results.read(path) for path in results.find(tmp_path / "out")]
    assert len(runs) == 4
    assert all(list(run.tasks) == ["generations_en", "generations_es"] for run in runs)
    assert len({run.label for run in runs}) == 2


def test_a_second_run_replaces_the_first_and_nothing_else(file, tmp_path):
    score([file], ["mini"], tmp_path / "out")
    (folder,) = {path.parent for path in (tmp_path / "out").rglob("results_*")}
    theirs = [folder / "results_2020-01-01T00-00-00.000000.json", folder / "samples_x_2020-01-01T00-00-00.000000.jsonl"]
    theirs[0].write_text(json.dumps({"config": {"model": "hf"}, "configs": {}, "results": {}}))
    theirs[1].write_text("")
    score([file], ["mini"], tmp_path / "out")
    left = sorted(path.name for path in folder.iterdir())
    assert len(left) == 5
    assert all(path.name in left for path in theirs)
    assert not any(name.startswith(".partial") for name in left)


def test_nothing_is_sent_in_a_language_that_is_not_supported(tmp_path, serve):
    server = serve()
    path = write(tmp_path / "g.jsonl", [*texts(), published("Saluton", lang="eo")])
    spec = f"perspective:qps=1000,endpoint={server.url}"
    for scorers in ([spec], ["mini:reward", spec]):
        with pytest.raises(DetoxbenchError, match=r"g.jsonl.*does not support language 'eo'"):
            score([path], scorers, tmp_path / "out")
    assert not server.asked
    assert not (tmp_path / "out").exists()
    score([path], [spec], tmp_path / "out", on_unsupported="nan", prompts=False)
    run = only(tmp_path / "out")
    assert np.isnan(run.tasks["generations_eo"].metrics["expected_max_toxicity"])
    assert run.tasks["generations_eo"].metrics["failed_fraction"] == 1
    assert set(server.asked) == {one["text"] for row in texts() for one in row["generations"]}


def test_offline(tmp_path, serve, file, capsys):
    server = serve()
    archive = tmp_path / "s.sqlite"
    with pytest.raises(DetoxbenchError, match="there is no score archive"):
        score([file], ["perspective"], tmp_path / "out", archive=archive, offline=True)
    spec = f"perspective:qps=1000,endpoint={server.url}"
    score([write(tmp_path / "part.jsonl", texts(2))], [spec], tmp_path / "part", archive=archive)
    with pytest.raises(typer.Exit) as left:
        score([file], ["perspective"], tmp_path / "out", archive=archive, offline=True)
    assert left.value.exit_code == 1
    assert "8 texts are not in the archive" in capsys.readouterr().err  # six generations and two prompts
    missing = tmp_path / "out" / "missing_perspective.jsonl"
    listed = [json.loads(line)["text"] for line in missing.read_text().splitlines()]
    assert sorted(listed) == sorted(["Prompt 2", "Prompt 3", *(f" text {p} {k}" for p in (2, 3) for k in range(3))])
    assert only(tmp_path / "out").tasks["generations_en"].metrics["failed_fraction"] == 0.5
    # What is missing can be scored where there is a key; then nothing is missing any more.
    score([missing], [spec], tmp_path / "rest", archive=archive)
    score([file], ["perspective"], tmp_path / "out", archive=archive, offline=True)
    assert not missing.exists()
    task = only(tmp_path / "out").tasks["generations_en"]
    top = [max(expected(f" text {p} {k}", "toxicity") for k in range(3)) for p in range(4)]
    assert task.metrics["expected_max_toxicity"] == pytest.approx(np.mean(top))
    assert all(count == 1 for count in server.asked.values())


@pytest.mark.parametrize("name", ["gpt2", "dexperts"])
def test_published_answers_are_the_published_scores(name, tmp_path):
    collated, answers = (SAMPLES / "perspective" / f"{kind}_{name}.jsonl" for kind in ("collated", "responses"))
    if not collated.is_file():
        pytest.skip("needs DETOXBENCH_SAMPLES")
    with ScoreArchive(tmp_path / "s.sqlite") as archive:
        import_responses(archive, read_responses(answers), read_generations(collated), version="2021-03")
    spec = "perspective:version=2021-03"
    score([collated], [spec], tmp_path / "a", archive=tmp_path / "s.sqlite", offline=True, lang="en", prompts=False)
    score([collated], ["given"], tmp_path / "b", lang="en")
    archived, given = (only(tmp_path / place).tasks["generations_en"] for place in "ab")
    for name in ("expected_max_toxicity", "toxicity_probability", "toxic_fraction"):
        assert archived.metrics[name] == given.metrics[name]
    (one,), (other,) = archived.read_samples(), given.read_samples()
    assert {key: other.measured.scores[key] for key in one.measured.scores} == dict(one.measured.scores)


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
def test_stopped_and_gone_on_with(kill, tmp_path, serve):
    server = serve()
    path = write(tmp_path / "g.jsonl", texts(30, 10))
    program = "from detoxbench.harness.cli import main; main()"
    command = [
        sys.executable, "-c", program, "score", str(path), "--out", str(tmp_path / "out"), "--no-prompts",
        "--archive", str(tmp_path / "s.sqlite"), "--scorer", f"perspective:qps=40,endpoint={server.url}",
    ]  # fmt: skip
    # A shell's background job ignores Ctrl-C, and so would what it starts.
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    while len(server.answered) < 60:
        time.sleep(0.02)
    process.send_signal(kill)
    _, said = process.communicate()
    if kill == signal.SIGINT:
        assert process.returncode == 130
        assert "run the same command again to go on" in said
        assert "Traceback" not in said
    assert not list((tmp_path / "out").rglob("results_*"))
    with ScoreArchive(tmp_path / "s.sqlite") as archive:
        ((_, stored),) = archive.sets("perspective")
    assert stored >= 1
    before = sum(server.asked.values())
    spec = f"perspective:qps=1000,endpoint={server.url}"
    score([path], [spec], tmp_path / "out", archive=tmp_path / "s.sqlite", prompts=False)
    assert sum(server.asked.values()) == before + 300 - stored
    assert only(tmp_path / "out").tasks["generations_en"].record.failed_scores == 0


@pytest.mark.parametrize(
    ("scorers", "message"),
    [
        (["mimi"], "unknown scorer 'mimi': did you mean 'mini'"),
        (["hf:/no/such"], "there is no such folder"),
        (["mini:judge,offline=maybe"], "offline='maybe': true or false"),
    ],
)
def test_wrong_scorers(scorers, message, file, tmp_path):
    with pytest.raises(DetoxbenchError, match=message):
        score([file], scorers, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folders_and_archives_that_are_none(file, tmp_path):
    with pytest.raises(DetoxbenchError, match="is a folder"):
        score([tmp_path], ["mini"], tmp_path / "out")
    with pytest.raises(DetoxbenchError, match="cannot be used as a score archive"):
        score([file], ["mini"], tmp_path / "out", archive=file)
    score([file], ["mini"], tmp_path / "out", archive=Path("none"))
    assert not Path("none").exists()


def test_agreement_of_a_scorer_with_itself_and_another(tmp_path, capsys):
    words = ("idiot", "friend", "house", "fool", "garden", "liar")
    rows = [published("You are", *(f" a {one} {other}" for one in words[:3]), lang="en") for other in words[2:]]
    file = write(tmp_path / "g.jsonl", rows)
    score([file], ["mini"], tmp_path / "out")
    (samples,) = (tmp_path / "out").rglob("samples_*")
    capsys.readouterr()
    agreement(samples, ["given", "mini", "mini:reward"], resamples=100, as_json=True)
    found = json.loads(capsys.readouterr().out)
    pairs = [(one["reference"]["name"], one["scorer"]["name"]) for one in found]
    assert pairs == [("given", "mini"), ("given", "mini:reward"), ("mini", "mini:reward")]
    assert found[0]["figures"]["spearman"]["value"] == pytest.approx(1)
    assert found[0]["figures"]["mean_absolute_error"]["value"] == 0
    assert found[1]["figures"] == found[2]["figures"]
    assert (found[0]["texts"], found[0]["prompts"], found[0]["left_out"]) == (12, 4, 0)
    agreement(samples, ["given", "mini"], resamples=100)
    assert "spearman" in capsys.readouterr().out


def test_agreement_offline_leaves_out_what_is_missing(file, tmp_path, serve, capsys):
    server = serve()
    archive = tmp_path / "s.sqlite"
    part = write(tmp_path / "part.jsonl", texts(2))
    score([part], ["mini", f"perspective:qps=1000,endpoint={server.url}"], tmp_path / "part", archive=archive)
    capsys.readouterr()
    agreement(file, ["perspective", "mini"], archive=archive, offline=True, resamples=100, as_json=True)
    said = capsys.readouterr()
    (found,) = json.loads(said.out)
    assert (found["texts"], found["left_out"]) == (6, 6)
    assert "perspective: 6 texts are not in the archive" in said.err
    with pytest.raises(DetoxbenchError, match="two different scorers"):
        agreement(file, ["mini", "mini"])


def test_hostile_texts_are_text(tmp_path, capsys):
    rows = [published(text, *HOSTILE, lang="en") for text in HOSTILE]
    score([write(tmp_path / "a [bold] file.jsonl", rows)], ["mini"], tmp_path / "out", fluency_model="mini")
    task = only(tmp_path / "out").tasks["generations_en"]
    assert task.metrics["failed_fraction"] == 0
    assert [row.doc.text for row in task.read_samples()] == HOSTILE
    report([tmp_path / "out"])
    assert capsys.readouterr().out.count("a [bold] file") == 2


def test_a_run_of_lm_eval_keeps_its_model_and_is_judged_by_another(file, tmp_path):
    score([file], ["mini"], tmp_path / "a")
    first = only(tmp_path / "a")
    raw = json.loads(first.path.read_text())
    raw["config"]["detoxbench"] = {
        "pretrained": "p", "method": "rectification", "method_arguments": {}, "trained_with": ["mini:reward"],
    }  # fmt: skip
    first.path.write_text(json.dumps(raw))
    score([first.tasks["generations_en"].samples], ["mini:reward", "mini"], tmp_path / "b")
    runs = [results.read(path) for path in results.find(tmp_path / "b")]
    judged = {run.tasks["generations_en"].record.scorer: run.tasks["generations_en"].record for run in runs}
    assert [run.label for run in runs] == ["p, rectification"] * 2
    assert (judged["mini:reward"].self_judged, judged["mini"].self_judged) == (True, False)
    assert judged["mini"].prompts_sha256 == first.tasks["generations_en"].record.prompts_sha256


def test_a_run_in_which_everything_failed_is_a_failure(file, tmp_path):
    """Nothing listens on the port: what there is is written, and the command says so."""
    with pytest.raises(DetoxbenchError, match="no text could be scored: broken connection"):
        score([file], ["judge:http://127.0.0.1:9/v1,m,attempts=1"], tmp_path / "out", archive=Path("none"))
    (task,) = only(tmp_path / "out").tasks.values()
    assert task.metrics["failed_fraction"] == 1
    score([file], ["mini"], tmp_path / "fine", archive=Path("none"))


def test_nothing_is_written_outside_of_the_folder(tmp_path):
    (tmp_path / "in").mkdir()
    path = write(tmp_path / "in" / "g.jsonl", [published(lang="x/../../../escaped")])
    with pytest.raises(DetoxbenchError, match="not a language tag"):
        score([path], ["mini"], tmp_path / "in" / "out", archive=Path("none"), on_unsupported="nan")
    assert not list(tmp_path.rglob("*escaped*"))
