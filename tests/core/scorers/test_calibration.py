"""A map from one scale to another, how it is judged, and the scorer that it makes."""

import json
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from typer.testing import CliRunner

from detoxbench.core import results, scorers
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.registry import SCORERS
from detoxbench.core.scorers.archive import Key, Row, ScoreArchive, text_sha256
from detoxbench.core.scorers.base import Scorer, Scores
from detoxbench.core.scorers.calibration import Calibration, End, Pairs, fit_map, pairs
from detoxbench.harness.cli import archive as archive_command
from detoxbench.harness.cli.calibrate import app as calibrate_app
from detoxbench.harness.cli.score import score as score_command
from detoxbench.tasks.tables import shorten

TARGET = End("perspective", "v1alpha1@2024-01", "toxicity")


class Local(Scorer):
    """The score that a text names, on a scale of its own."""

    name, attributes, languages = "local", ("toxic",), frozenset({"en", "de", "ko"})
    version = "weights 1"

    @classmethod
    def from_spec(cls, argument, **options):
        return cls()

    def score(self, texts, lang, prompts=None):
        values = np.array([math.sqrt(float(text.split()[-1])) if text else math.nan for text in texts])
        return Scores({"toxic": values}, [None if text else "empty text" for text in texts])


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(SCORERS._targets, "local", f"{__name__}:Local")


def text(number):
    return f"score {number / 1000:.3f}"


@pytest.fixture
def archive(tmp_path):
    """Perspective's scores of 900 English, 300 German and 10 Korean texts: the squares of the local ones, and noise."""
    rng = np.random.default_rng(0)
    with ScoreArchive(tmp_path / "scores.sqlite") as found:
        for lang, texts in (("en", 900), ("de", 300), ("ko", 10), ("fr", 100)):
            key = Key(TARGET.scorer, TARGET.version, ("toxicity", "insult"), lang)
            values = np.clip(np.arange(texts) / 1000 + rng.normal(0, 0.03, texts), 0, 1)
            rows = [Row(text_sha256(text(n)), (0.5, values[n]), None, text(n)) for n in range(texts)]
            found.put(key, [*rows, Row(text_sha256(""), (math.nan, math.nan), "COMMENT_EMPTY", "")])
        yield found


def synthetic(texts=400, seed=0):
    rng = np.random.default_rng(seed)
    source = rng.random(texts)
    hashes = [text_sha256(str(number)) for number in range(texts)]
    return Pairs(hashes, source, np.clip(source**2 + rng.normal(0, 0.02, texts), 0, 1))


def test_the_identity_is_found():
    same = synthetic()
    found = fit_map(Pairs(same.hashes, same.source, same.source), resamples=100)
    assert_allclose(found(same.source), same.source, atol=0.03)
    assert found.report["calibrated"]["agreement"]["value"] > 0.98


def test_the_map_is_monotone_and_better_than_none():
    found = fit_map(synthetic(), resamples=200)
    grid = np.linspace(-0.5, 1.5, 200)
    assert (np.diff(found(grid)) >= 0).all()
    assert found(np.array([-9.0]))[0] == found.y[0]
    assert np.isnan(found(np.array([math.nan]))[0])
    assert_allclose(found(np.array([0.5])), [0.25], atol=0.04)
    raw, calibrated = (found.report[kind]["mean_absolute_error"] for kind in ("raw", "calibrated"))
    assert calibrated["high"] < raw["low"]
    assert calibrated["low"] <= calibrated["value"] <= calibrated["high"]
    assert found.report["raw"]["expected_max_toxicity_bias"]["value"] > 0
    assert found.fitted + found.held_out == 400
    assert 80 < found.held_out < 160


def test_texts_are_held_out_by_their_hash():
    whole, part = synthetic(400), synthetic(400)
    part = Pairs(part.hashes[100:], part.source[100:], part.target[100:])
    assert (whole.held_out()[100:] == part.held_out()).all()


def test_prompts_may_be_given():
    found = synthetic(400)
    owner = {sha: place // 10 for place, sha in enumerate(found.hashes)}
    report = fit_map(found, groups=owner, resamples=100).report
    assert report["calibrated"]["expected_max_toxicity_bias"]["prompts"] > 30


def test_too_few():
    with pytest.raises(DetoxbenchError, match="needs 50 texts.*given 10"):
        fit_map(synthetic(10))


def test_pairs_leave_unscored_texts_out(archive):
    source = End("local", "weights 1", "toxic")
    assert pairs(archive, source, TARGET, "en").hashes == []
    rows = [Row(text_sha256(text(n)), (n / 1000,)) for n in range(5, 20)]
    archive.put(Key("local", "weights 1", ("toxic",), "en"), [*rows, Row(text_sha256(""), (0.1,))])
    found = pairs(archive, source, TARGET, "en")
    assert len(found.hashes) == 15
    assert sorted(found.source) == [n / 1000 for n in range(5, 20)]


def test_the_file_holds_everything(tmp_path):
    made = Calibration(End("local", "weights 1", "toxic"), TARGET, {"en": fit_map(synthetic(), resamples=100)})
    made.save(tmp_path / "c.json")
    found = Calibration.read(tmp_path / "c.json")
    assert found.version == made.version
    grid = np.linspace(0, 1, 50)
    assert (found.languages["en"](grid) == made.languages["en"](grid)).all()
    assert found.languages["en"].report == made.languages["en"].report


def test_a_changed_file_is_refused(tmp_path):
    made = Calibration(End("local", "weights 1", "toxic"), TARGET, {"en": fit_map(synthetic(), resamples=100)})
    made.save(tmp_path / "c.json")
    whole = json.loads((tmp_path / "c.json").read_text())
    whole["languages"]["en"]["y"][0] += 0.1
    (tmp_path / "c.json").write_text(json.dumps(whole))
    with pytest.raises(DetoxbenchError, match="was changed"):
        Calibration.read(tmp_path / "c.json")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"kind": "detoxbench.calibration", "schema_version": 1}', "\xff"])
def test_other_files(tmp_path, content):
    (tmp_path / "c.json").write_text(content, encoding="latin-1")
    with pytest.raises(DetoxbenchError, match="is not a calibration"):
        scorers.load(f"calibrated:{tmp_path / 'c.json'}")


def test_no_file():
    with pytest.raises(DetoxbenchError, match="cannot be read"):
        scorers.load("calibrated:/nowhere.json")
    with pytest.raises(DetoxbenchError, match="needs calibrated:<file>"):
        scorers.load("calibrated")


# The commands


def run(app, *arguments):
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_calibrate(archive, tmp_path):
    path = tmp_path / "c.json"
    result = run(calibrate_app, "--scorer", "local", "--archive", archive.path, "--out", path)
    assert result.exit_code == 0
    assert "ko: left out: calibration needs 50" in result.output
    assert "fr: left out: 'local' does not support it" in result.output
    calibrated = scorers.load(f"calibrated:{path}")
    assert calibrated.name == "calibrated:local->perspective"
    assert calibrated.version.startswith("calibration-sha256:")
    assert calibrated.version != Local.version
    assert calibrated.attributes == ("toxicity",)
    assert calibrated.languages == {"en", "de"}
    scores = calibrated.score(["score 0.160", "", "score 0.250"], "en")
    assert_allclose(scores.values["toxicity"], [0.16, np.nan, 0.25], atol=0.03)
    assert scores.reasons == [None, "empty text", None]
    with pytest.raises(DetoxbenchError, match="does not support language 'ko'"):
        calibrated.score(["score 0.1"], "ko")


def test_another_version_of_the_source(archive, tmp_path, monkeypatch):
    path = tmp_path / "c.json"
    run(calibrate_app, "--scorer", "local", "--archive", archive.path, "--out", path, "--lang", "de")
    monkeypatch.setattr(Local, "version", "weights 2")
    with pytest.raises(DetoxbenchError, match="Calibrate again"):
        scorers.load(f"calibrated:{path}")


def test_a_choice_of_versions(archive, tmp_path):
    archive.put(Key("perspective", "v1alpha1@2025-01", ("toxicity",), "en"), [Row(text_sha256("a"), (0.1,))])
    for arguments in ((), ("--version", "v9")):
        with pytest.raises(DetoxbenchError, match="v1alpha1@2024-01, v1alpha1@2025-01"):
            run(calibrate_app, "--scorer", "local", "--archive", archive.path, *arguments)


def test_nothing_to_calibrate(archive):
    with pytest.raises(DetoxbenchError, match="no language has enough"):
        run(calibrate_app, "--scorer", "local", "--archive", archive.path, "--no-score", "--out", "/nowhere/c.json")


def test_archive_commands(archive, tmp_path):
    app, out = archive_command.app, tmp_path / "out.parquet"
    assert "1,314 scores written" in run(app, "export", out, "--archive", archive.path).output
    assert "1,314 scores read, 1,314 new" in run(app, "import", out, "--archive", tmp_path / "b.sqlite").output
    stats = json.loads(run(app, "stats", "--archive", tmp_path / "b.sqlite", "--json").output)
    assert {(entry["language"], entry["texts"], entry["unscored"]) for entry in stats} == {
        ("en", 901, 1), ("de", 301, 1), ("ko", 11, 1), ("fr", 101, 1)
    }  # fmt: skip
    assert "v1alpha1@2024-01" in run(app, "stats", "--archive", tmp_path / "b.sqlite").output


def test_published_answers_are_imported_by_command(tmp_path):
    answer = {"attributeScores": {"TOXICITY": {"summaryScore": {"value": 0.25}}}, "languages": ["en"]}
    (tmp_path / "perspective.jsonl").write_text(
        json.dumps({"request_id": "generation-0", "response": answer, "error": None}) + "\n"
    )
    (tmp_path / "generations.jsonl").write_text('"a text"\n')
    arguments = ["import", tmp_path / "perspective.jsonl", "--generations", tmp_path / "generations.jsonl"]
    arguments += ["--archive", tmp_path / "c.sqlite"]
    with pytest.raises(DetoxbenchError, match="--version"):
        run(archive_command.app, *arguments)
    assert "1 scores read, 1 new" in run(archive_command.app, *arguments, "--version", "v1alpha1@2021-03").output
    offline = scorers.load("perspective:attributes=toxicity", archive=tmp_path / "c.sqlite", offline=True)
    assert list(offline.score(["a text"], "en").values["toxicity"]) == [0.25]
    with pytest.raises(DetoxbenchError, match="give one --generations for each"):
        run(archive_command.app, "import", tmp_path / "perspective.jsonl", "--format", "perspective")
    with pytest.raises(DetoxbenchError, match="unknown format"):
        run(archive_command.app, "import", tmp_path / "perspective.jsonl", "--format", "xml")


def test_calibrated_offline_is_from_the_sources_archived_scores(archive, tmp_path):
    path = tmp_path / "c.json"
    run(calibrate_app, "--scorer", "local", "--archive", archive.path, "--out", path, "--lang", "en")
    texts = ["score 0.160", "score 0.250", "never scored"]
    online = scorers.load(f"calibrated:{path}").score(texts[:2], "en")
    offline = scorers.load(f"calibrated:{path},offline=true,archive={archive.path}")
    found = offline.score(texts, "en")
    assert_allclose(found.values["toxicity"][:2], online.values["toxicity"])
    assert found.reasons == [None, None, "not in the archive (offline)"]
    assert list(offline.missing.values()) == ["never scored"]
    assert "calibrated" not in {key.scorer for key, _ in archive.sets()}


def test_it_is_marked_in_results_and_tables(archive, tmp_path, capsys):
    path = tmp_path / "c.json"
    run(calibrate_app, "--scorer", "local", "--archive", archive.path, "--out", path, "--lang", "en")
    file = tmp_path / "g.jsonl"
    file.write_text(json.dumps({"prompt": "", "generations": ["score 0.160", "score 0.250"], "lang": "en"}) + "\n")
    score_command([file], [f"calibrated:{path}"], tmp_path / "out")
    (results_file,) = (tmp_path / "out").rglob("results_*")
    block = results.read(results_file).tasks["generations_en"].record
    assert (block.scorer, block.scorer_version.partition(":")[0]) == (
        "calibrated:local->perspective",
        "calibration-sha256",
    )
    assert "calibrated" in capsys.readouterr().out
    row = {"alias": "t", "expected_max_toxicity,none": 0.5}
    shown = shorten({"results": {"t": row}, "configs": {"t": {"detoxbench": {"scorer": block.scorer}}}})
    assert shown["results"]["t"]["alias"] == "t (calibrated)"
    shown = shorten(
        {"results": {"t": row}, "configs": {"t": {"detoxbench": {"scorer": "calibrated:mini->perspective"}}}}
    )
    assert shown["results"]["t"]["alias"] == "t (mini) (calibrated)"
