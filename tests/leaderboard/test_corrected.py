"""Shares of toxic texts as people would judge them: from a study of the run's texts, or labels for its scorer."""

from __future__ import annotations

import json

import made_validity
import numpy as np
import pytest
from gate_files import write

from detoxbench.leaderboard import corrected
from detoxbench.leaderboard.pairing import load_one
from detoxbench.leaderboard.reading import from_results
from detoxbench.leaderboard.site.build import build
from detoxbench.leaderboard.submissions import to_text
from detoxbench.leaderboard.validity import records

SCORES = np.random.default_rng(0).beta(2, 2, (2, 40))
LANGS = ("en", "fr")


@pytest.fixture
def published():
    return [records.of_report(made_validity.report({("s", "1"): 0.6}, texts=200), "here")]


@pytest.fixture
def runs(tmp_path):
    base = write(tmp_path / "a", SCORES, languages=LANGS)
    other = write(tmp_path / "b", SCORES * 0.6, languages=LANGS, method="dexperts", date="2026-01-02T03-04-05.000002")
    return base, other


def study_beside(folder, base, values):
    (path,) = folder.glob("results_*.json")
    found = {
        "kind": "detoxbench annotations", "study": "abc", "base": base, "design": "rating",
        "raters": [{"name": "ann"}, {"name": "ben"}],
        "runs": {base: "a", path.name: "b"}, "texts": 50, "texts_rated": 50,
        "estimates": {path.name: {
            lang: {"texts": 50, "toxic": {
                "labelled": 50, "prediction_powered": {"value": value, "low": value - 0.1, "high": value + 0.1}
            }}
            for lang, value in values.items()
        }},
        "differences": {path.name: {lang: {"value": -0.1, "low": -0.2, "high": 0.0} for lang in values}},
    }  # fmt: skip
    path.with_name(f"annotations_rating_{path.name.removeprefix('results_')}").write_text(json.dumps(found))


def test_without_labels_there_is_nothing(runs):
    assert corrected.shares(load_one(runs[0]), []) == {}


def test_labels_for_the_scorer(runs, published):
    found = corrected.shares(load_one(runs[0]), published)
    assert list(found) == ["en", "fr", "macro"]
    assert {(one.by, one.labels) for one in found.values()} == {("labels", "rtp_lx")}
    assert found["macro"].value == pytest.approx((found["en"].value + found["fr"].value) / 2, abs=1e-5)
    for one in found.values():
        assert one.low <= one.value <= one.high
    moved = corrected.differences(load_one(runs[0]), load_one(runs[1]), published)
    assert moved["macro"].value < 0
    assert "transport" in corrected.notes([found])[0]


def test_labels_for_another_version_are_no_labels(tmp_path, published):
    assert corrected.shares(load_one(write(tmp_path, SCORES, languages=LANGS, scorer_version="2")), published) == {}


def test_labels_at_another_threshold_are_no_labels(tmp_path, published):
    run = load_one(write(tmp_path, SCORES, languages=LANGS, constants={"toxic": 0.35}))
    assert corrected.shares(run, published) == {}


def test_people_who_rated_the_run_come_first(runs, published):
    study_beside(runs[0], "", {"en": 0.2, "fr": 0.3, "macro": 0.25})
    found = corrected.shares(load_one(runs[0]), published)
    assert {lang: (one.value, one.by) for lang, one in found.items()} == {
        "en": (0.2, "sample"), "fr": (0.3, "sample"), "macro": (0.25, "sample")
    }  # fmt: skip
    ((record, _),) = from_results(next(runs[0].glob("results_*.json")))
    assert record.corrected["macro"].value == 0.25
    assert record.corrected["macro"].labels == "study abc, 2 raters"
    assert '"corrected"' in to_text(record)


def test_differences_of_a_study(runs, published):
    base = next(runs[0].glob("results_*.json")).name
    study_beside(runs[1], base, {"en": 0.2, "fr": 0.3, "macro": 0.25})
    moved = corrected.differences(load_one(runs[0]), load_one(runs[1]), published)
    assert {(one.value, one.by) for one in moved.values()} == {(-0.1, "sample")}


def test_the_board_shows_them(runs, published, tmp_path):
    read = [(folder, *pair) for folder in runs for pair in from_results(next(folder.glob("results_*.json")))]
    build([record for _, record, _ in read], tmp_path / "site", validity=published,
          runs={record.id: load_one(folder) for folder, record, _ in read})  # fmt: skip
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "As people would judge it" in page
    assert "other texts (rtp_lx, rtp_lx)" in page or "other texts (rtp_lx)" in page
