"""First use on ``mini``: artifacts appear by themselves, once, for two processes at once too."""

from __future__ import annotations

import json

import pytest

from detoxbench.core import mini as embedded
from detoxbench.core.folders import CACHE
from detoxbench.methods import first_use as mini
from detoxbench.methods import load_detoxified
from detoxbench.methods.training.texts import Texts


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Fits on forty sentences a side, in a cache of their own."""

    def texts(folder, side, each=0):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{side}.jsonl"
        path.write_text("".join(json.dumps({"text": f"{side} sentence number {at}"}) + "\n" for at in range(40)))
        return Texts([str(path)], side)

    monkeypatch.setattr(mini, "_texts", texts)
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_artifacts_appear_and_are_kept(small):
    lm = load_detoxified("mini", "goodtriever", k=8)
    made = {path: path.stat().st_mtime_ns for path in small.rglob("*") if path.is_file()}
    assert lm.method.datastores["toxic"].count > 100
    assert lm.method.arguments.k == 8
    again = load_detoxified("mini", "knn_lm", k=8)
    assert again.method.datastore.path.parent == lm.method.datastores["toxic"].path.parent
    assert {path: path.stat().st_mtime_ns for path in small.rglob("*") if path.is_file()} == made


def test_the_users_own_artifacts_win(small):
    own = str(mini.datastores() / "toxic")
    assert mini.with_artifacts("goodtriever", {"toxic_datastore": own, "k": 8}) == {"toxic_datastore": own, "k": 8}
    assert mini.with_artifacts("dexperts", {"expert": "e", "antiexpert": None}) == {"expert": "e"}
    assert mini.with_artifacts("rectification", {"value_model": "v"}) == {"value_model": "v"}
    assert mini.with_artifacts("self_debias", {"decay": 3.0}) == {"decay": 3.0}


def test_knn_lm_takes_the_side_of_its_mode(small):
    interpolated = mini.with_artifacts("knn_lm", {})
    assert interpolated["datastore"].endswith("/nontoxic")
    assert interpolated["lmbda"] == mini.KNN_LM["lmbda"]
    assert mini.with_artifacts("knn_lm", {"mode": "interpolate"}) == {"mode": "interpolate", **interpolated}
    discouraged = mini.with_artifacts("knn_lm", {"mode": "discourage"})
    assert discouraged["datastore"].endswith("/toxic")
    assert "lmbda" not in discouraged  # that setting suits the other mode


def test_two_at_once(small, processes):
    both = [processes.start(mini.datastores) for _ in range(2)]
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert mini.datastores().is_dir()
    assert len(list(small.iterdir())) == 1


@pytest.mark.parametrize("kill_at", [1, 4, 8])
def test_killed_and_used_again(small, processes, kill_at):
    assert processes.killed(mini.datastores, kill_at)
    assert load_detoxified("mini", "goodtriever", k=8).method.datastores["nontoxic"].count > 100


def test_the_key_names_all_that_matters(small, monkeypatch):
    def name():
        return mini._cached("x", {"a": 1}, lambda folder: folder.mkdir(parents=True, exist_ok=True)).name

    first = name()
    assert name() == first
    monkeypatch.setattr(mini, "FORMAT", mini.FORMAT + 1)
    assert name() != first


def test_the_corpus_is_not_the_judges(tmp_path):
    texts = mini._texts(tmp_path, "toxic", 2)
    known = {s.text: s for lang in mini.corpus.languages() for s in mini.corpus.sentences(lang)}
    assert {text.lang for text in texts} == set(mini.corpus.languages())
    assert all(known[text.text].toxic and mini.split_of(known[text.text]) != "judge" for text in texts)


def test_settings_are_recorded_where_they_differ_from_the_defaults():
    assert mini.SCORER == "mini:reward"
    assert mini.is_mini(load_detoxified("mini"))
    assert embedded.MODEL.is_dir()
