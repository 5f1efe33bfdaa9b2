"""A scorer behind an archive: what is asked for, what is kept, and what works without the scorer."""

import math

import numpy as np
import pytest
from fake_perspective import expected

from detoxbench.core import scorers
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.scorers.archive import Key, Row, default_path, text_sha256
from detoxbench.core.scorers.archived import NOT_ARCHIVED, Archived
from detoxbench.core.scorers.base import Scorer, Scores
from detoxbench.core.scorers.perspective import PerspectiveScorer


def row(text, *values):
    return Row(text_sha256(text), values, None, text)


class Counting(Scorer):
    """Gives the length of a text over 100; refuses 'bad', and 'later' the first time."""

    name, version, attributes, languages = "counting", "1", ("toxicity", "length"), frozenset({"en", "de"})

    def __init__(self):
        self.asked = []

    def score(self, texts, lang, prompts=None):
        again = [text == "later" and self.asked.count(text) == 0 for text in texts]
        self.asked += texts
        values = np.array([math.nan if text in ("bad", "later") else len(text) / 100 for text in texts])
        values = np.where(
            [text == "later" and not first for text, first in zip(texts, again, strict=True)], 0.05, values
        )
        reasons = [("refused" if text == "bad" else "busy") if math.isnan(value) else None
                   for text, value in zip(texts, values, strict=True)]  # fmt: skip
        return Scores({"toxicity": values, "length": values}, reasons, retry=again)


# A scorer behind it


def test_a_second_run_asks_for_what_is_missing(archive):
    scorer = Counting()
    assert list(Archived(scorer, archive).score(["one", "three", "one"], "en").values["toxicity"]) == [0.03, 0.05, 0.03]
    assert scorer.asked == ["one", "three"]
    scores = Archived(scorer, archive).score(["four", "three"], "en")
    assert list(scores.values["length"]) == [0.04, 0.05]
    assert scorer.asked == ["one", "three", "four"]


def test_reasons_are_kept_and_failures_that_may_pass_are_not(archive):
    scorer = Counting()
    scores = Archived(scorer, archive).score(["bad", "later", "fine"], "en")
    assert scores.reasons == ["refused", "busy", None]
    assert list(scores.retry) == [False, True, False]
    scores = Archived(scorer, archive).score(["bad", "later", "fine"], "en")
    assert scores.reasons == ["refused", None, None]
    assert scorer.asked == ["bad", "later", "fine", "later"]


def test_offline_scores_what_is_there_and_lists_what_is_missing(archive, tmp_path):
    Archived(Counting(), archive).score(["one"], "en")
    scorer = Counting()
    offline = Archived(scorer, archive, offline=True)
    scores = offline.score(["one", "two", "two"], "en")
    assert scores.reasons == [None, NOT_ARCHIVED, NOT_ARCHIVED]
    assert list(scores.values["toxicity"])[:1] == [0.03]
    assert scorer.asked == []
    assert offline.write_missing(tmp_path / "missing.jsonl") == 1
    assert '"text": "two"' in (tmp_path / "missing.jsonl").read_text()


def test_unsupported_languages_are_refused(archive):
    with pytest.raises(DetoxbenchError, match="does not support language 'fr'"):
        Archived(Counting(), archive).score(["a"], "fr")


def test_no_texts(archive):
    assert Archived(Counting(), archive).score([], "en").reasons == []


def test_what_another_process_stored_first_is_what_is_used(archive):
    class Slow(Counting):
        def score(self, texts, lang, prompts=None):
            archive.put(Key("counting", "1", self.attributes, "en"), [row("one", 0.9, 0.9)])
            return super().score(texts, lang)

    assert list(Archived(Slow(), archive).score(["one"], "en").values["toxicity"]) == [0.9]


# Perspective behind it


def test_metered_services_are_archived_unless_told_not_to(serve):
    server = serve()
    for _ in range(2):
        scorer = scorers.load(f"perspective:endpoint={server.url},qps=100")
        assert list(scorer.score(["a"], "en").values["toxicity"]) == [expected("a", "toxicity")]
    assert server.asked == {"a": 1}
    assert default_path().is_file()
    scorers.load(f"perspective:endpoint={server.url},qps=100,archive=none").score(["a"], "en")
    assert server.asked == {"a": 2}


def test_perspective_offline_needs_no_key(serve, monkeypatch):
    server = serve()
    scorers.load(f"perspective:endpoint={server.url},qps=100").score(["a"], "zh-Hans")
    monkeypatch.delenv("PERSPECTIVE_API_KEY")
    offline = scorers.load("perspective:offline=true")
    scores = offline.score(["a", "b"], "zh")
    assert scores.reasons == [None, NOT_ARCHIVED]
    assert set(scores.absent) == {"sexually_explicit", "flirtation"}
    assert list(offline.missing.values()) == ["b"]


def test_versions_are_not_mixed(archive):
    for version in ("v1alpha1@2021-03", "v1alpha1@2024-05"):
        archive.put(Key("perspective", version, PerspectiveScorer().attributes, "en"), [row("a", *[0.1] * 8)])
    with pytest.raises(DetoxbenchError, match=r"several versions.*v1alpha1@2021-03, v1alpha1@2024-05"):
        scorers.load("perspective", archive=archive.path, offline=True).score(["a"], "en")
    chosen = scorers.load("perspective:version=v1alpha1@2024-05", archive=archive.path, offline=True)
    assert list(chosen.score(["a"], "en").values["toxicity"]) == [0.1]


def test_offline_without_an_archive():
    with pytest.raises(DetoxbenchError, match="no score archive"):
        scorers.load("perspective:offline=true").score(["a"], "en")
    with pytest.raises(DetoxbenchError, match="needs an archive"):
        scorers.load("perspective:offline=true,archive=none")


# Former names


def test_scores_under_a_former_name_are_found(archive):
    class Renamed(Counting):
        name, former_names = "counting:model@sha256:0123", ("counting:/home/me/model",)

    old = Key("counting:/home/me/model", "1", Counting.attributes, "en")
    archive.put(old, [row("one", 0.5, 0.5)])
    scorer = Renamed()
    assert list(Archived(scorer, archive).score(["one", "three"], "en").values["toxicity"]) == [0.5, 0.05]
    assert scorer.asked == ["three"]
