"""Guards behind a server on loopback: the right token of the reply, the right labels, the right conversation."""

import math

import numpy as np
import pytest
import test_openai

from detoxbench.core import scorers
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.scorers.guard.served import masses
from detoxbench.core.scorers.presets import guards

server = test_openai.server  # a fixture


def token(text, **alternatives):
    """A token of a reply; alternatives are its most probable tokens with their probabilities."""
    top = alternatives or {text: 0.98}
    entries = [{"token": name.replace("_", " "), "logprob": math.log(p)} for name, p in top.items()]
    return {"token": text, "logprob": -0.1, "top_logprobs": entries}


def reply(*tokens):
    return 200, {"choices": [{"message": {"content": ""}, "logprobs": {"content": list(tokens)}}]}


def llama_guard(payload):
    """``unsafe`` in one piece, of the probability that the text's length says."""
    length = len(str(payload["messages"][-1]["content"]))
    share = 0.05 + 0.9 * (length % 10) / 10
    return reply(token("\n\n"), token("safe", safe=1 - share, unsafe=share - 0.01))


def spec(server, preset, more=""):
    return f"served_guard:{server.url},m,preset={preset},archive=none,backoff=0.002{more}"


def test_by_hand(server):
    server.answers["/v1/chat/completions"] = llama_guard
    scorer = scorers.load(spec(server, "llama-guard-3"))
    scores = scorer.score(["abc", "", "abcde"], "en")
    # 3 letters: 0.32; what is on the labels together is the whole.
    np.testing.assert_allclose(scores.values["toxicity"], [0.31 / 0.99, np.nan, 0.49 / 0.99])
    assert scores.reasons == [None, "empty text", None]
    [payload] = [one for _, _, one in server.seen if one["messages"][0]["content"] == "abc"]
    assert payload["messages"] == [{"role": "user", "content": "abc"}]
    assert payload["top_logprobs"] == 20
    assert "chat_template_kwargs" not in payload
    assert scorer.name == "served_guard:m,preset=llama-guard-3"
    assert guards()["llama-guard-3"].digest in scorer.version
    with pytest.raises(DetoxbenchError, match="does not support language"):
        scorers.load(spec(server, "llama-guard-3"), on_unsupported="error").score(["a"], "sw")


def test_a_response_is_judged_after_its_prompt(server):
    server.answers["/v1/chat/completions"] = llama_guard
    scorer = scorers.load(spec(server, "llama-guard-3-parts", ",role=response"))
    assert scorer.judges == "response"
    scorer.score(["answer"], "en", ["question"])
    parts = [[{"type": "text", "text": text}] for text in ("question", "answer")]
    assert [turn["content"] for turn in server.seen[0][2]["messages"]] == parts
    scorer.score(["alone"], "en", [""])
    assert len(server.seen[1][2]["messages"]) == 1


def test_every_policy_is_a_question_and_the_largest_counts(server):
    def shieldgemma(payload):
        guideline = payload["chat_template_kwargs"]["guideline"]
        yes = 0.7 if "Hate" in guideline else 0.2
        return reply(token("Yes", Yes=yes, No=0.9 - yes))

    server.answers["/v1/chat/completions"] = shieldgemma
    scores = scorers.load(spec(server, "shieldgemma")).score(["a"], "en")
    assert scores.values["hate"][0] == pytest.approx(0.7 / 0.9)
    assert scores.values["harassment"][0] == pytest.approx(0.2 / 0.9)
    assert scores.values["toxicity"][0] == pytest.approx(0.7 / 0.9)
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("preset", "tokens", "wanted"),
    [
        ("qwen3guard", [token("Safety"), token(":"), token(" Unsafe", _Unsafe=0.6, _Safe=0.1, _Contro=0.2)], 0.7 / 0.9),
        ("granite-guardian-3.3",
         [token("<"), token("score"), token(">"), token(" yes", _yes=0.5, yes=0.2, _no=0.3)], 0.7),
        ("nemotron-safety-guard-v3",
         [token('{"'), token("User Safety"), token('": "'), token("un", un=0.6, safe=0.2), token('safe"}')], 0.75),
        ("polyguard", [token("Harmful request:"), token(" yes", _yes=0.9, _no=0.1), token("\n"),
                       token("Response refusal:"), token(" no")], 0.9),
    ],
)  # fmt: skip
def test_the_answer_is_found(server, preset, tokens, wanted):
    server.answers["/v1/chat/completions"] = lambda _: reply(*tokens)
    assert scorers.load(spec(server, preset)).score(["a"], "en").values["toxicity"][0] == pytest.approx(wanted)


def test_the_last_of_several_answers_counts():
    steps = guards()["polyguard"].asks["response"].steps
    tokens = [token("Harmful request:"), token(" yes"), token("\nResponse refusal:"), token(" no"),
              token("\nHarmful response:"), token(" no", _no=0.8, _yes=0.1)]  # fmt: skip
    np.testing.assert_allclose(masses(tokens, steps), [0.8, 0.1])


def test_other_replies_are_no_number(server):
    for tokens, reason in (
        ([token("I"), token(" cannot")], "the reply does not have 'Safety:'"),
        ([token("Safety:")], "the reply ends after 'Safety:'"),
        ([token("Safety:"), token(" Maybe", _Maybe=0.9, _Safe=0.1)], "10% of the probability"),
    ):
        server.answers["/v1/chat/completions"] = lambda _, tokens=tokens: reply(*tokens)
        scores = scorers.load(spec(server, "qwen3guard")).score(["a"], "en")
        assert np.isnan(scores.values["toxicity"][0])
        assert reason in scores.reasons[0]
    server.answers["/v1/chat/completions"] = lambda _: (200, {"choices": [{"message": {}, "logprobs": None}]})
    with pytest.raises(DetoxbenchError, match="gives no logprobs"):
        scorers.load(spec(server, "qwen3guard")).score(["a"], "en")


def test_what_cannot_be_served(server):
    with pytest.raises(DetoxbenchError, match="writes its prompt itself"):
        scorers.load(spec(server, "wildguard"))
    with pytest.raises(DetoxbenchError, match="no token of its reply is its answer"):
        scorers.load(spec(server, "gpt-oss-safeguard"))
    with pytest.raises(DetoxbenchError, match="use judge:, whose rubric it is"):
        scorers.load(spec(server, "rubric"))
