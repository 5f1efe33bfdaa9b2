"""Moderation endpoint and judge, against a server on loopback."""

import hashlib
import json
import math
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from detoxbench.core import scorers
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.scorers import judge
from detoxbench.core.scorers.openai_moderation import OTHERS, TOXIC

SECRET = "sk-test-0123456789"
TEXTS = [f"a sentence about the number {number}" for number in range(70)]
NO_ARCHIVE = "archive=none,backoff=0.002"


def category(text, name):
    return int.from_bytes(hashlib.sha256(f"{name} {text}".encode("utf-8", "surrogatepass")).digest()[:4], "big") / 2**32


def ratings(text):
    """Probabilities of the digits."""
    weights = [category(text, str(level)) for level in range(judge.LEVELS)]
    return [weight / sum(weights) * 0.9 for weight in weights]


def moderation(payload):
    if any("refused" in text for text in payload["input"]):
        return 400, {"error": {"message": "this text is refused"}}
    entries = [
        {"category_scores": {name: category(text, name) for name in (*TOXIC, *OTHERS)}} for text in payload["input"]
    ]
    return 200, {"id": "x", "model": "omni-moderation-2024-09-26", "results": entries}


def chat(payload):
    text = payload["messages"][1]["content"].removeprefix(f"{judge.OPEN}\n").removesuffix(f"\n{judge.CLOSE}")
    assert payload["temperature"] == 0
    assert payload["logprobs"] is True
    top = [{"token": token, "logprob": math.log(share)} for token, share in zip("01234", ratings(text), strict=True)]
    if "silent" in text:
        top = [{"token": "I", "logprob": -0.01}, {"token": "0", "logprob": -5.0}]
    top += [{"token": "The", "logprob": -4.0}]
    content = [{"token": "0", "logprob": -1.0, "top_logprobs": top}]
    return 200, {"choices": [{"message": {"content": "0"}, "logprobs": {"content": content}}]}


@pytest.fixture
def server():
    """Answers by ``answers[path]``; ``faults`` are statuses used up first."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_POST(self):
            payload = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with http.lock:
                http.seen.append((self.path, self.headers.get("authorization"), payload))
                fault = http.faults.pop(0) if http.faults else None
            if fault == "drop":
                self.close_connection = True
                self.connection.close()
                return
            status, body = (fault, {"error": {"message": "injected"}}) if fault else http.answers[self.path](payload)
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request, client_address):
            pass

    http = Server(("127.0.0.1", 0), Handler)
    http.lock, http.seen, http.faults = threading.Lock(), [], []
    http.answers = {"/v1/moderations": moderation, "/v1/chat/completions": chat}
    http.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield http
    http.shutdown()
    http.server_close()


# Moderation


@pytest.mark.parametrize("faults", [[], [429, 500, 503], ["drop", "drop"]], ids=["fine", "busy", "broken"])
def test_moderation(server, faults):
    server.faults = list(faults)
    scorer = scorers.load(f"openai_moderation:{server.url},{NO_ARCHIVE}")
    scores = scorer.score(TEXTS, "en")
    assert scores.reasons == [None] * len(TEXTS)
    assert list(scores.values["hate"]) == [category(text, "hate") for text in TEXTS]
    assert list(scores.values["toxicity"]) == [max(category(text, name) for name in TOXIC) for text in TEXTS]
    assert scorer.attributes[0] == "toxicity"
    assert len(server.seen) == 3 + len(faults)


def test_a_refused_text_does_not_touch_the_others(server):
    scores = scorers.load(f"openai_moderation:{server.url},{NO_ARCHIVE}").score(["a", "refused", "", "b"], "en")
    assert scores.reasons == [None, "HTTP 400: this text is refused", "empty text", None]
    assert list(np.isnan(scores.values["toxicity"])) == [False, True, True, False]
    assert not any(scores.retry)


def test_a_server_with_fewer_categories(server):
    def fewer(payload):
        entries = [{"category_scores": {name: category(text, name) for name in TOXIC}} for text in payload["input"]]
        return 200, {"results": entries}

    server.answers["/v1/moderations"] = fewer
    scores = scorers.load(f"openai_moderation:{server.url},{NO_ARCHIVE}").score(["a"], "en")
    assert scores.reasons == [None]
    assert set(scores.absent) == set(OTHERS)


@pytest.mark.parametrize("answer", [{}, {"results": []}, {"results": [{"category_scores": {"hate": 0.1}}]}, [], None])
def test_answers_that_are_none(server, answer):
    server.answers["/v1/moderations"] = lambda _: (200, answer)
    scores = scorers.load(f"openai_moderation:{server.url},attempts=2,{NO_ARCHIVE}").score(["a"], "en")
    assert np.isnan(scores.values["toxicity"][0])
    assert scores.retry == [True]


def test_scores_are_archived_as_they_come(server, tmp_path):
    spec = f"openai_moderation:{server.url},backoff=0.002,attempts=1,workers=1,archive={tmp_path / 'scores.sqlite'}"
    server.faults = [500]
    first = scorers.load(spec).score(TEXTS, "en")
    assert sum(reason is not None for reason in first.reasons) == 32
    assert scorers.load(spec).score(TEXTS, "en").reasons == [None] * len(TEXTS)
    assert len(server.seen) == 4


def test_the_model_and_the_month_are_the_version(server):
    scorer = scorers.load(f"openai_moderation:{server.url},model=some-model,{NO_ARCHIVE}")
    assert scorer.version.startswith("some-model@20")
    scorer.score(["a"], "en")
    assert server.seen[0][2] == {"model": "some-model", "input": ["a"]}


# Judge


@pytest.mark.parametrize("faults", [[], [429, 500], ["drop"]], ids=["fine", "busy", "broken"])
def test_judge(server, faults):
    server.faults = list(faults)
    scorer = scorers.load(f"judge:{server.url},some/model,{NO_ARCHIVE}")
    scores = scorer.score(TEXTS[:20], "ko")
    expected = [sum(level * share for level, share in enumerate(ratings(text))) / 0.9 / 4 for text in TEXTS[:20]]
    np.testing.assert_allclose(scores.values["toxicity"], expected, rtol=1e-12)
    assert scores.reasons == [None] * 20
    assert scorer.name == f"judge:{server.url},some/model"
    assert server.seen[-1][2]["model"] == "some/model"
    assert server.seen[-1][2]["messages"][0]["content"] == judge.RUBRIC


def test_a_judge_that_does_not_rate(server):
    scores = scorers.load(f"judge:{server.url},m,{NO_ARCHIVE}").score(["silent", "", "a"], "en")
    assert scores.reasons == ["the judge gave no rating: 1% of the probability is on the digits", "empty text", None]


def test_a_server_without_logprobs(server):
    server.answers["/v1/chat/completions"] = lambda _: (
        200,
        {"choices": [{"message": {"content": "3"}, "logprobs": None}]},
    )
    with pytest.raises(DetoxbenchError, match="no logprobs"):
        scorers.load(f"judge:{server.url},m,{NO_ARCHIVE}").score(["a"], "en")


def test_expected_scores_by_hand():
    def entry(token, share):
        return {"token": token, "logprob": math.log(share)}

    assert judge.expected_score([entry("4", 1.0)]) == 1
    assert judge.expected_score([entry("0", 0.5), entry(" 4", 0.25), entry("4", 0.25)]) == pytest.approx(0.5)
    assert judge.expected_score([entry("1", 0.6), entry("3", 0.2), entry("x", 0.2)]) == pytest.approx(
        (0.6 + 0.6) / 0.8 / 4
    )
    for nothing in ([], [entry("x", 1.0)], [entry("5", 1.0)], [entry("2", 0.4)]):
        with pytest.raises(ValueError, match="no rating"):
            judge.expected_score(nothing)


def test_the_rubric_is_part_of_the_version(monkeypatch):
    before = scorers.load("judge:http://127.0.0.1:9/v1,m,archive=none").version
    assert judge.rubric_version() in before
    monkeypatch.setattr(judge, "RUBRIC", judge.RUBRIC + "!")
    assert scorers.load("judge:http://127.0.0.1:9/v1,m,archive=none").version != before


# Both


@pytest.mark.parametrize("kind", ["openai_moderation:{}", "judge:{},m"])
def test_the_key_is_sent_only_if_there_is_one(server, monkeypatch, kind):
    spec = f"{kind.format(server.url)},{NO_ARCHIVE}"
    scorers.load(spec).score(["a"], "en")
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    scorers.load(spec).score(["a"], "en")
    assert [authorization for _, authorization, _ in server.seen] == [None, f"Bearer {SECRET}"]


@pytest.mark.parametrize("kind", ["openai_moderation:{}", "judge:{},m"])
def test_a_wrong_key_is_not_repeated(server, monkeypatch, kind):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    refusal = {"error": {"message": f"Incorrect API key provided: {SECRET}. sk-te***789 is wrong."}}
    server.answers = dict.fromkeys(server.answers, lambda _: (401, refusal))
    with pytest.raises(DetoxbenchError, match="HTTP 401: Incorrect API key") as error:
        scorers.load(f"{kind.format(server.url)},{NO_ARCHIVE}").score(["a"], "en")
    assert "sk-te" not in str(error.value)


@pytest.mark.parametrize("kind", ["openai_moderation:{}", "judge:{},m"])
def test_a_dead_server(kind):
    spec = f"{kind.format('http://127.0.0.1:9/v1')},attempts=2,{NO_ARCHIVE}"
    scores = scorers.load(spec).score(["a", "b"], "en")
    assert scores.retry == [True, True]
    assert scores.reasons[0].startswith("broken connection")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("judge:http://127.0.0.1:9/v1", "needs judge:<base_url>,<model>"),
        ("openai_moderation", "needs openai_moderation:<base_url>"),
        ("openai_moderation:http://example.org/v1", "use https"),
        ("judge:nowhere,m", "is not a URL"),
        ("judge:http://127.0.0.1:9/v1,m,workers=0", "1 to 1000"),
    ],
)
def test_wrong_specifications(spec, says):
    with pytest.raises(DetoxbenchError, match=says):
        scorers.load(spec)
