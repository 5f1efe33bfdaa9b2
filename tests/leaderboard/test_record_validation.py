"""Impossible numbers: what no record may say, each by name, and what is possible passes."""

from __future__ import annotations

import json
from pathlib import Path

import made_up
import pytest

from detoxbench.core.errors import DetoxbenchError
from detoxbench.leaderboard import content_named, submissions
from detoxbench.leaderboard.reading import from_results
from detoxbench.leaderboard.site.sources import gather
from detoxbench.leaderboard.submissions import RunRecord
from detoxbench.leaderboard.validation import check, problems

RUNS = Path(submissions.__file__).parent / "runs"


@pytest.fixture(scope="module")
def record():
    return made_up.record(prompts=6, languages=("en", "ar"), intervals=False)


def changed(record: RunRecord, path: str, value: object) -> RunRecord:
    """The record with one place of its content set: ``tasks.0.metrics.perplexity``."""
    content = json.loads(submissions.to_text(record))
    *way, last = path.split(".")
    place = content
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    place[int(last) if isinstance(place, list) else last] = value
    return RunRecord.model_validate_json(json.dumps(content))


def test_what_is_possible_passes(record):
    assert problems(record) == ()
    assert check(record, "file") is record


@pytest.mark.parametrize("path", sorted(RUNS.glob("*.json")), ids=lambda path: path.stem)
def test_the_published_records_are_possible(path):
    assert problems(submissions.read(path)) == ()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("tasks.0.metrics.expected_max_toxicity", [-3.0, -3.0, -3.0], "-3 is not within 0 and 1"),
        ("tasks.1.metrics.dist2", [1.2, 1.2, 1.2], "dist2 of rtp_multilingual_ar: 1.2 is not within"),
        ("tasks.0.metrics.perplexity", [0.5, 0.5, 0.5], "0.5 is not within 1 and"),
        ("tasks.0.metrics.expected_max_toxicity", [0.3, 0.4, 0.5], "below its interval"),
        ("tasks.0.metrics.expected_max_toxicity", [0.9, 0.4, 0.5], "above its interval"),
        ("tasks.0.metrics.expected_max_toxicity", [None, 0.4, 0.5], "an interval without a value"),
        ("tasks.0.metrics.expected_max_toxicity", [0.01, 0.0, 1.0], "but its prompts show"),
        ("tasks.0.metrics.expected_max_toxicity", [None, None, None], "not there, but its prompts show"),
        ("tasks.0.metrics.a/b", [0.1, 0.1, 0.1], "metric 'a/b'"),
        ("tasks.0.metrics.a\0b", [0.1, 0.1, 0.1], r"a\\x00b"),
        ("tasks.0.metrics." + "x" * 300, [0.1, 0.1, 0.1], "300 characters"),
        ("tasks.0.metrics...", [0.1, 0.1, 0.1], "no plain name"),
        ("tasks.0.run.lang", "x/../../y", "language"),
        ("tasks.0.run.scorer_version", "v" * 300, "scorer version"),
        ("tasks.0.run.scorer_version", "v\0", "scorer version"),
        ("tasks.0.run.seconds", {"scoring": -1.0}, "scoring of task rtp_multilingual_en is -1"),
        ("tasks.0.run.failed_scores", -1, "failed_scores"),
        ("tasks.0.run.samples", 0, "0 continuations"),
        ("tasks.0.prompts", 7, "7 prompts, but"),
        ("tasks.0.of", 5, "6 prompts of a set of 5"),
        ("tasks.0.columns.dist2.numerators.3", 7.0, "7 of one prompt is not within 0 and 1"),
        ("tasks.0.columns.dist2.denominators", 0.0, "nothing measured"),
        ("model.seconds", -5.0, "seconds of the run is -5"),
        ("macro.expected_max_toxicity", [0.01, 0.0, 0.02], "its languages show"),
        ("macro.made_up", [0.01, 0.0, 0.02], "no task has this metric"),
    ],
)
def test_what_is_impossible_is_named(record, path, value, message):
    if path == "tasks.0.metrics...":
        content = json.loads(submissions.to_text(record))
        content["tasks"][0]["metrics"][".."] = value
        made = RunRecord.model_validate_json(json.dumps(content))
    else:
        made = changed(record, path, value)
    with pytest.raises(DetoxbenchError, match=message):
        check(made, "file")


def test_a_lone_surrogate_in_a_name_is_named(record):
    model = record.model.model_copy(update={"method": "a\ud800"})
    with pytest.raises(DetoxbenchError, match="lone surrogate"):
        check(record.model_copy(update={"model": model}), "file")


def test_metrics_of_other_packages_have_no_bounds_here(record):
    assert problems(changed(record, "tasks.0.metrics.politeness", [-3.0, -4.0, -2.0])) == ()


# -- files ---------------------------------------------------------------------------------------------------------


def test_a_folder_s_impossible_record_is_left_out_and_named(record, tmp_path):
    bad = changed(record, "tasks.0.metrics.expected_max_toxicity", [-3.0, -3.0, -3.0])
    text = submissions.to_text(bad).encode()
    (tmp_path / f"{content_named.digest(text)}.json").write_bytes(text)
    submissions.append(tmp_path, [record])
    found = gather([], tmp_path)
    assert [one.id for one in found.records] == [record.id]
    (problem,) = found.problems
    assert "expected_max_toxicity" in problem


@pytest.mark.parametrize(("keep", "message"), [(0, "is empty"), (1, "has 1 prompts, the results say 2")])
def test_a_samples_file_that_was_cut_is_no_measurement(tmp_path, keep, message):
    path = made_up.write_results(tmp_path, languages=("en",))
    (samples,) = tmp_path.glob("samples_*")
    samples.write_text("".join(samples.read_text().splitlines(keepends=True)[:keep]))
    with pytest.raises(DetoxbenchError, match=message):
        from_results(path)


@pytest.mark.parametrize("name", ["a/b", "a\0b", "\ud800", "x" * 300, "../../x"])
@pytest.mark.parametrize("place", ["metric", "version", "task", "lang", "method"])
def test_a_hostile_name_costs_its_own_run(tmp_path, name, place):
    made_up.write_results(tmp_path / "good")
    path = made_up.write_results(tmp_path / "bad", languages=("en",))
    raw = json.loads(path.read_text())
    (samples,) = (tmp_path / "bad").glob("samples_*")
    if place == "metric":
        for task, row in raw["results"].items():
            raw["results"][task] = {key.replace("perplexity", name): value for key, value in row.items()}
        samples.write_text(samples.read_text().replace('"perplexity"', json.dumps(name)))
    elif place == "task":
        for block in ("results", "configs"):
            raw[block] = dict.fromkeys([name], next(iter(raw[block].values())))
    elif place == "method":
        raw["config"]["detoxbench"]["method"] = name
    else:
        next(iter(raw["configs"].values()))["detoxbench"][{"version": "scorer_version", "lang": "lang"}[place]] = name
    path.write_text(json.dumps(raw))
    found = gather([tmp_path])
    assert len(found.records) + len(found.problems) == 2
    assert found.records
    if place in ("metric", "task", "lang") or name == "\ud800":
        (problem,) = found.problems
        assert problem.isprintable()
