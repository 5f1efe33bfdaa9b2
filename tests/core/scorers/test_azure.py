"""Azure AI Content Safety, against a server on loopback."""

import numpy as np
import pytest
import test_openai

from detoxbench.core import scorers
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.scorers.azure import API, CATEGORIES, LONGEST

server = test_openai.server  # a fixture
PATH = f"/contentsafety/text:analyze?api-version={API}"
SECRET = "0123456789abcdef"


def analyse(payload):
    """As the service answers: a text's severity of hate is its number of exclamation marks."""
    assert payload["outputType"] == "EightSeverityLevels"
    assert payload["categories"] == list(CATEGORIES)
    assert len(payload["text"]) <= LONGEST
    found = dict.fromkeys(CATEGORIES, 0) | {"Hate": min(7, payload["text"].count("!")), "Violence": 7}
    return 200, {
        "blocklistsMatch": [],
        "categoriesAnalysis": [{"category": name, "severity": severity} for name, severity in found.items()],
    }


@pytest.fixture
def azure(server):
    server.answers[PATH] = analyse
    server.spec = f"azure:http://127.0.0.1:{server.server_address[1]},archive=none,backoff=0.002"
    return server


@pytest.mark.parametrize("faults", [[], [429, 503], ["drop"]], ids=["fine", "busy", "broken"])
def test_severities(azure, faults):
    azure.faults = list(faults)
    scorer = scorers.load(azure.spec)
    scores = scorer.score(["a", "b!!!", " ", "c!!!!!!!"], "de")
    np.testing.assert_array_equal(scores.values["toxicity"], [0, 3 / 7, np.nan, 1])
    np.testing.assert_array_equal(scores.values["hate"], scores.values["toxicity"])
    np.testing.assert_array_equal(scores.values["violence"], [1, 1, np.nan, 1])
    assert scores.reasons == [None, None, "empty text", None]
    assert scorer.name == "azure"
    assert scorer.version.startswith(f"{API}@20")
    assert len(azure.seen) == 3 + len(faults)


def test_a_long_text_is_its_worst_piece(azure):
    text = "a" * LONGEST + "!!" + "b" * LONGEST
    assert scorers.load(azure.spec).score([text], "en").values["toxicity"][0] == 2 / 7
    assert len(azure.seen) == 3


def test_the_key_has_its_own_variable_and_header(azure, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-azure")
    monkeypatch.setenv("AZURE_CONTENT_SAFETY_KEY", SECRET)
    scorers.load(azure.spec).score(["a"], "en")
    sent = {name.lower(): value for name, value in azure.headers[0].items()}
    assert sent["ocp-apim-subscription-key"] == SECRET
    assert "sk-not-for-azure" not in str(sent)
    azure.answers[PATH] = lambda _: (401, {"error": {"code": "401", "message": f"wrong key {SECRET}"}})
    with pytest.raises(DetoxbenchError, match="AZURE_CONTENT_SAFETY_KEY") as error:
        scorers.load(azure.spec).score(["a"], "en")
    assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    "answer", [{}, [], {"categoriesAnalysis": [{"category": "Hate", "severity": 2}]},
               {"categoriesAnalysis": [{"category": name, "severity": 9} for name in CATEGORIES]}]
)  # fmt: skip
def test_answers_that_are_none(azure, answer):
    azure.answers[PATH] = lambda _: (200, answer)
    scores = scorers.load(azure.spec + ",attempts=2").score(["a"], "en")
    assert np.isnan(scores.values["toxicity"][0])
    assert scores.retry == [True]
