"""First use on ``mini``: artifacts appear by themselves, once, for two processes at once too."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from detoxbench.core import mini as embedded
from detoxbench.core.folders import CACHE
from detoxbench.core.mini import corpus
from detoxbench.core.mini.splits import split_of
from detoxbench.core.registry import METHODS
from detoxbench.methods import first_use as mini
from detoxbench.methods import load_detoxified
from detoxbench.methods.declaration import Made, Mini
from detoxbench.methods.training.texts import Texts


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Fits on forty sentences a side, in a cache of their own."""

    def texts(folder, side, each):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{side}.jsonl"
        path.write_text("".join(json.dumps({"text": f"{side} sentence number {at}"}) + "\n" for at in range(40)))
        return Texts([str(path)], side)

    monkeypatch.setattr(mini, "texts", texts)
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
    own = str(mini.artifacts("goodtriever") / "toxic")
    assert mini.with_artifacts("goodtriever", {"toxic_datastore": own, "k": 8}) == {"toxic_datastore": own, "k": 8}
    assert mini.with_artifacts("dexperts", {"expert": "e", "antiexpert": None}) == {"expert": "e"}
    assert mini.with_artifacts("rectification", {"value_model": "v"}) == {"value_model": "v"}
    assert mini.with_artifacts("self_debias", {"decay": 3.0}) == {"decay": 3.0}


def test_knn_lm_takes_the_side_of_its_mode(small):
    interpolated = mini.with_artifacts("knn_lm", {})
    assert interpolated["datastore"].endswith("/nontoxic")
    assert interpolated["lmbda"] == METHODS["knn_lm"].on_mini({})["lmbda"]
    assert mini.with_artifacts("knn_lm", {"mode": "interpolate"}) == {"mode": "interpolate", **interpolated}
    discouraged = mini.with_artifacts("knn_lm", {"mode": "discourage"})
    assert discouraged["datastore"].endswith("/toxic")
    assert "lmbda" not in discouraged  # that setting suits the other mode


def test_two_at_once(small, processes):
    both = [processes.start(lambda: mini.artifacts("goodtriever")) for _ in range(2)]
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert mini.artifacts("goodtriever").is_dir()
    assert len(list(small.iterdir())) == 1


@pytest.mark.parametrize("kill_at", [1, 4, 8])
def test_killed_and_used_again(small, processes, kill_at):
    assert processes.killed(lambda: mini.artifacts("goodtriever"), kill_at)
    assert load_detoxified("mini", "goodtriever", k=8).method.datastores["nontoxic"].count > 100


def test_the_key_names_all_that_matters(small, monkeypatch):
    """Other settings, sides or sentences are another folder; what the artifact does not depend on is not."""
    made = []

    def run(pretrained, out, *, texts, settings, revision=None, device=None):
        made.append(sorted(texts))
        return Made({})

    fit = replace(METHODS["dexperts"].fit, run=run)

    def name(changed):
        monkeypatch.setattr(METHODS["dexperts"], "fit", changed)
        return mini.artifacts("dexperts").name

    first = name(fit)
    assert name(fit) == first
    assert made == [["nontoxic", "toxic"]]
    slower = {**fit.mini.settings, "learning_rate": 1e-4}
    others = [
        replace(fit, mini=Mini(slower)),
        replace(fit, mini=Mini(fit.mini.settings, sides=("toxic",))),
        replace(fit, mini=Mini(fit.mini.settings, sentences=3)),
        replace(fit, mini=Mini(fit.mini.settings, files=(embedded.SCORER / "reward.safetensors",))),
    ]
    assert len({first, *map(name, others)}) == 5
    monkeypatch.setattr(mini, "FORMAT", mini.FORMAT + 1)
    assert name(fit) != first


def test_stores_are_shared_and_checkpoints_are_no_part_of_a_key(small):
    settings = METHODS["task_vector"].fit.parse({"checkpoint_steps": 7})
    assert settings.recorded() == METHODS["task_vector"].fit.parse().recorded()
    assert mini.artifacts("knn_lm") == mini.artifacts("goodtriever")


def test_the_corpus_is_not_the_judges(tmp_path):
    texts = mini.texts(tmp_path, "toxic", 2)
    known = {s.text: s for lang in corpus.languages() for s in corpus.sentences(lang)}
    assert {text.lang for text in texts} == set(corpus.languages())
    assert all(known[text.text].toxic and split_of(known[text.text]) != "judge" for text in texts)


def test_the_embedded_model_is_known():
    assert mini.is_mini(load_detoxified("mini"))
    assert embedded.MODEL.is_dir()


WEIGHTS = [name for name in METHODS if METHODS[name].kind == "weight" and METHODS[name].fit is not None]


@pytest.fixture(scope="module")
def one_step(tmp_path_factory):
    """Fits of one step on ten sentences a side, in a cache of their own."""

    def texts(folder, side, each):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{side}.jsonl"
        path.write_text("".join(json.dumps({"text": f"{side} sentence number {at}"}) + "\n" for at in range(10)))
        return Texts([str(path)], side)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mini, "texts", texts)
        cache = tmp_path_factory.mktemp("cache")
        patch.setenv("DETOXBENCH_CACHE", str(cache))
        for name in WEIGHTS:
            fit = METHODS[name].fit
            splits = {"splits": 2} if "splits" in fit.settings.model_fields and not METHODS[name].fit_settings else {}
            few = {**splits, **({"max_steps": 1} if "max_steps" in fit.settings.model_fields else {})}
            patch.setattr(METHODS[name], "fit", replace(fit, mini=Mini({**fit.mini.settings, **few})))
        yield cache


@pytest.mark.parametrize("method", WEIGHTS)
def test_fitted_once(one_step, method):
    changed = load_detoxified("mini", method)
    base = load_detoxified("mini")
    before, after = base.state_dict(), changed.state_dict()
    assert any(not torch.equal(tensor, after[name]) for name, tensor in before.items())
    made = {path: path.stat().st_mtime_ns for path in one_step.rglob("*.safetensors")}
    again = load_detoxified("mini", method)
    assert {path: path.stat().st_mtime_ns for path in one_step.rglob("*.safetensors")} == made
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in changed.state_dict().items())


def test_the_users_own_weights_win(one_step):
    assert mini.with_artifacts("task_vector", {"finetuned": "x"}) == {"finetuned": "x"}
    found = mini.with_artifacts("task_vector", {"coefficient": 0.3})
    assert found["coefficient"] == 0.3
    assert "task_vector" in found["finetuned"]


def test_nothing_is_warned_of_that_nobody_chose(small, recwarn):
    load_detoxified("mini", "goodtriever", k=8)
    assert not [one for one in recwarn if "neighbours weigh the same" in str(one.message)]
    with pytest.warns(UserWarning, match="neighbours weigh the same"):
        load_detoxified("mini", "goodtriever", k=8, temperature=1000.0)
