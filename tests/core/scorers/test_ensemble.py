"""The mean of scorers."""

import numpy as np
import pytest

from detoxbench.core import scorers
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.scorers.base import Scorer, Scores
from detoxbench.core.scorers.ensemble import MeanScorer, members_of

NAN = np.nan


class Fixed(Scorer):
    """Gives what it was made with."""

    attributes = ("bad", "other")

    def __init__(self, name, values, languages=None, judges="text", retry=False):
        self.name, self.version, self.judges = name, f"{name}-1", judges
        self.languages = None if languages is None else frozenset(languages)
        self._values, self._retry, self.prompts = np.array(values, dtype=float), retry, None

    def score(self, texts, lang, prompts=None):
        self.prompts = prompts
        reasons = ["refused" if np.isnan(value) else None for value in self._values]
        retry = [self._retry and reason is not None for reason in reasons]
        return Scores({"bad": self._values, "other": np.ones(len(texts))}, reasons, retry=retry)


def test_means():
    a, b, c = Fixed("a", [0.0, 0.2, NAN]), Fixed("b", [0.5, 0.4, 0.6]), Fixed("c", [1.0, NAN, NAN])
    scores = MeanScorer([a, b, c]).score(["x", "y", "z"], "en")
    np.testing.assert_allclose(scores.values["toxicity"], [0.5, NAN, NAN])
    assert scores.reasons == [None, "c: refused", "a: refused"]
    scores = MeanScorer([a, b, c], least=2).score(["x", "y", "z"], "en")
    np.testing.assert_allclose(scores.values["toxicity"], [0.5, 0.3, NAN])
    scores = MeanScorer([a, b, c], least=1).score(["x", "y", "z"], "en")
    np.testing.assert_allclose(scores.values["toxicity"], [0.5, 0.3, 0.6])
    assert scores.reasons == [None, None, None]


def test_a_failure_that_may_pass_is_asked_again():
    members = [Fixed("a", [NAN, 0.5], retry=True), Fixed("b", [0.5, NAN])]
    assert list(MeanScorer(members).score(["x", "y"], "en").retry) == [True, False]


def test_identity_languages_and_prompts():
    a, b = Fixed("a", [0.0], ["en", "de"]), Fixed("b", [1.0], ["en", "fr"], judges="response")
    mean = MeanScorer([a, b, Fixed("c", [0.5])])
    assert (mean.name, mean.languages) == ("mean:a+b+c", {"en"})
    assert mean.version == "least 3 of 3: a a-1; b b-1; c c-1"
    assert MeanScorer([a, b], least=1).name == "mean:a+b,least=1"
    assert mean.judges == "response"
    mean.score(["x"], "en", ["before"])
    assert b.prompts == ["before"]
    assert MeanScorer([a, Fixed("c", [0.5])]).judges == "text"
    with pytest.raises(DetoxbenchError, match="does not support language 'fr': it supports en"):
        mean.score(["x"], "fr")


def test_members():
    assert members_of("mini") == ["mini"]
    assert members_of("calibrated:a+b.json+mini,x=1") == ["calibrated:a+b.json", "mini,x=1"]
    spec = "mean:mini+mini:reward,least=1"
    mean, single = scorers.load(spec), [scorers.load(name) for name in ("mini", "mini:reward")]
    texts = ["you are a stupid fool", "good morning", ""]
    by_hand = np.mean([one.score(texts, "en").values["toxicity"] for one in single], axis=0)
    scores = mean.score(texts, "en")
    np.testing.assert_allclose(scores.values["toxicity"], by_hand)
    assert scores.reasons == [None, None, "mini: empty text"]
    for one in single:
        assert one.version in mean.version


def test_its_members_are_archived_not_itself(tmp_path):
    spec = "mean:mini+mini:reward"
    first = scorers.load(spec, archive=str(tmp_path / "a.sqlite"))
    found = first.score(["good morning"], "en").values["toxicity"]
    assert first.archived_in == tmp_path / "a.sqlite"
    offline = scorers.load(spec, archive=str(tmp_path / "a.sqlite"), offline=True)
    np.testing.assert_array_equal(offline.score(["good morning"], "en").values["toxicity"], found)
    assert offline.score(["another text"], "en").reasons == ["mini: not in the archive (offline)"]
    assert offline.write_missing(tmp_path / "missing.jsonl") == 1
    assert "another text" in (tmp_path / "missing.jsonl").read_text()


def test_errors():
    with pytest.raises(DetoxbenchError, match="needs at least two scorers"):
        scorers.load("mean:mini")
    with pytest.raises(DetoxbenchError, match="needs at least two scorers, each once"):
        scorers.load("mean:mini+mini")
    with pytest.raises(DetoxbenchError, match="given none"):
        scorers.load("mean:")
    with pytest.raises(DetoxbenchError, match="least=3: allowed are 1 to 2"):
        scorers.load("mean:mini+mini:reward,least=3")
    with pytest.raises(DetoxbenchError, match="least='most'"):
        scorers.load("mean:mini+mini:reward,least=most")
    with pytest.raises(DetoxbenchError, match="no language that all"):
        MeanScorer([Fixed("a", [0.0], ["en"]), Fixed("b", [0.0], ["de"])])
