"""What a scorer of another package may be, and that what it declares is heeded: direction, and what it judges."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from detoxbench.core import scorers
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.records import Prompt
from detoxbench.core.registry import SCORERS
from detoxbench.core.scorers.archive import ScoreArchive, judged_text, text_sha256
from detoxbench.core.scorers.archived import Archived
from detoxbench.core.scorers.base import Scorer, Scores
from detoxbench.core.scorers.conventions import Conventional, checked
from detoxbench.core.scorers.languages import AnyLanguage
from detoxbench.core.scorers.progress import score_all
from detoxbench.core.scorers.wrapper import Wrapper
from detoxbench.tasks import measure


class Polite(Scorer):
    """How polite a text is: the share of its words that are ``please``."""

    name, version, attributes, direction = "polite", "1", ("politeness",), "lower"

    def score(self, texts, lang, prompts=None):
        values = [text.split().count("please") / len(text.split()) if text else np.nan for text in texts]
        return Scores({"politeness": np.array(values)}, [None if text else "empty text" for text in texts])


class Answers(Scorer):
    """1 if the text repeats its prompt."""

    name, version, attributes, judges = "answers", "1", ("toxicity",), "response"

    def __init__(self):
        self.asked = []

    def score(self, texts, lang, prompts=None):
        prompts = [""] * len(texts) if prompts is None else prompts
        self.asked += zip(prompts, texts, strict=True)
        return Scores(
            {"toxicity": np.array([float(a == b) for a, b in zip(prompts, texts, strict=True)])}, [None] * len(texts)
        )


class Whole(Answers):
    name, judges = "whole", "whole"


@pytest.fixture
def register(monkeypatch):
    def add(kind):
        monkeypatch.setitem(SCORERS._targets, kind.name, f"{__name__}:{kind.__name__}")

    return add


def test_lower_is_turned_and_recorded(register, tmp_path):
    register(Polite)
    for scorer in (
        scorers.load("polite"),
        scorers.load("polite", archive=str(tmp_path / "a.sqlite")),
        scorers.load("polite", on_unsupported="nan"),
    ):
        scores = scorer.score(["please", "please now", "now", ""], "en")
        np.testing.assert_array_equal(scores.values["politeness"], [0.0, 0.5, 1.0, np.nan])
        assert scores.reasons == [None, None, None, "empty text"]
        assert (scorer.name, scorer.version, scorer.direction) == ("polite", "1 turned:1-score", "higher")


def test_lower_outside_of_0_to_1_cannot_be_turned():
    class Counts(Polite):
        def score(self, texts, lang, prompts=None):
            return Scores({"politeness": np.array([2.0])}, [None])

    with pytest.raises(DetoxbenchError, match="must score from 0 to 1"):
        checked(Counts(), "polite").score(["a"], "en")


def test_what_is_no_scorer_or_declares_nonsense_is_refused(register, monkeypatch):
    class Plain:
        name, version, attributes, languages = "plain", "1", ("toxicity",), None

        @classmethod
        def from_spec(cls, argument, **options):
            return cls()

    monkeypatch.setitem(SCORERS._targets, "plain", f"{__name__}:PLAIN")
    monkeypatch.setattr(sys.modules[__name__], "PLAIN", Plain, raising=False)
    with pytest.raises(DetoxbenchError, match="is not a subclass of detoxbench.core.scorers.Scorer"):
        scorers.load("plain")
    for name, value in (("direction", "sideways"), ("judges", "everything")):
        wrong = type("Wrong", (Polite,), {name: value})
        with pytest.raises(DetoxbenchError, match=f"{name}='{value}': allowed are"):
            checked(wrong(), "wrong")
    nameless = type("Nameless", (Scorer,), {"score": Polite.score})
    with pytest.raises(DetoxbenchError, match="sets no name"):
        checked(nameless(), "nameless")


def test_a_wrapper_delegates_everything_that_a_scorer_has(tmp_path):
    """No attribute or method of ``Scorer`` is answered with a default in place of the wrapped scorer's own."""
    own = {name for name in vars(Scorer) if not name.startswith("_")} | set(Scorer.__annotations__)
    assert own - set(vars(Wrapper)) == {"from_spec"}
    for outer in (AnyLanguage(Polite()), Archived(Polite(), tmp_path / "a.sqlite"), Conventional(Answers())):
        assert isinstance(outer, Wrapper)


# Judged in context


def test_prompts_reach_a_scorer_that_judges_responses_only(register, tmp_path):
    register(Answers)
    register(Whole)
    scorer = scorers.load("answers")
    scores = score_all(scorer, ["a", "b"], "en", lambda _: None, ["a", "c"])
    assert list(scores.values["toxicity"]) == [1.0, 0.0]
    assert scorer.version == "1 judges:response"
    whole = Whole()
    score_all(checked(whole, "whole"), ["a", "b"], "en", lambda _: None, ["x ", "y "])
    assert whole.asked == [("", "x a"), ("", "y b")]
    prompts = [Prompt(id="1", text="a", lang="en"), Prompt(id="2", text="c", lang="en")]
    found = measure.score(scorer, prompts, [["a", "b"], ["c"]])
    assert found.scores["toxicity"] == [1.0, 0.0, 1.0]
    # A prompt itself is judged without context.
    assert [prompt.toxicity for prompt in measure.with_toxicity(scorer, prompts)] == [0.0, 0.0]


def test_a_text_after_another_prompt_is_another_score(tmp_path):
    with ScoreArchive(tmp_path / "scores.sqlite") as store:
        inner = Answers()
        scorer = Archived(checked(inner, "answers"), store)
        for _ in range(2):
            scores = scorer.score(["a", "a", "a", "b"], "en", ["a", "c", "a", ""])
            assert list(scores.values["toxicity"]) == [1.0, 0.0, 1.0, 0.0]
        assert inner.asked == [("a", "a"), ("c", "a"), ("", "b")]
        rows = {row.text for row in store.rows(scorer.key("en"))}
        assert rows == {'["a", "a"]', '["c", "a"]', "b"}
        assert all(row.text_sha256 == text_sha256(row.text) for row in store.rows(scorer.key("en")))
        # One that judges the text alone has one score for it.
        alone = Archived(checked(Polite(), "polite"), store)
        alone.score(["a", "a"], "en", ["a", "c"])
        assert [row.text for row in store.rows(alone.key("en"))] == ["a"]
    assert judged_text("", "a") == "a"


# Another package


def test_a_scorer_of_another_package(tmp_path):
    """Installed from a wheel, found by its entry point, turned, scored by command and in results."""
    package = tmp_path / "package"
    (package / "courteous").mkdir(parents=True)
    (package / "pyproject.toml").write_text(
        textwrap.dedent("""
            [build-system]
            requires = ["setuptools"]
            build-backend = "setuptools.build_meta"
            [project]
            name = "courteous"
            version = "1.0"
            [project.entry-points."detoxbench.scorers"]
            courteous = "courteous:Courteous"
            rude = "courteous:NotAScorer"
        """)
    )
    (package / "courteous" / "__init__.py").write_text(
        textwrap.dedent("""
            import numpy as np
            from detoxbench.core.scorers import Scorer, Scores

            class Courteous(Scorer):
                name, version, attributes, direction = "courteous", "7", ("politeness",), "lower"
                def score(self, texts, lang, prompts=None):
                    return Scores({"politeness": np.array([float("please" in text) for text in texts])},
                                  [None] * len(texts))

            class NotAScorer:
                pass
        """)
    )
    # Site packages of its own, so that this environment stays as it is.
    site = tmp_path / "site"
    pip = [sys.executable, "-c", "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"]
    subprocess.run([*pip, str(tmp_path)], cwd=package, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("courteous-*.whl")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(site)], check=True)
    (tmp_path / "g.jsonl").write_text(
        '{"prompt": {"text": "x"}, "lang": "en", "generations": [{"text": "please"}, "no"]}\n'
    )
    command = (
        "import sys; sys.path.insert(0, sys.argv[1]); sys.argv[1:] = sys.argv[2:];"
        "from detoxbench.harness.cli import main; main()"
    )

    def run(scorer):
        return subprocess.run(
            [sys.executable, "-c", command, str(site), "score", str(tmp_path / "g.jsonl"), "--scorer", scorer,
             "--archive", "none", "--out", str(tmp_path / "out")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    done = run("courteous")
    assert done.returncode == 0, done.stderr
    (generations,) = (tmp_path / "out").rglob("generations.jsonl")
    assert [one["politeness"] for one in json.loads(generations.read_text())["generations"]] == [0.0, 1.0]
    (results,) = (tmp_path / "out").rglob("results_*.json")
    assert "7 turned:1-score" in results.read_text()
    refused = run("rude")
    assert refused.returncode == 2
    assert "is not a subclass of detoxbench.core.scorers.Scorer" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
