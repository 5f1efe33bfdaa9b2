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
    assert payload["max_tokens"] == 1
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
                http.headers.append(dict(self.headers))
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
    http.lock, http.seen, http.headers, http.faults = threading.Lock(), [], [], []
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
    assert list(scores.retry) == [False, True, False, False]  # a bare 400 is no refusal of the text for good


def test_a_server_with_fewer_categories(server):
    def fewer(payload):
        entries = [{"category_scores": {name: category(text, name) for name in TOXIC}} for text in payload["input"]]
        return 200, {"results": entries}

    server.answers["/v1/moderations"] = fewer
    scores = scorers.load(f"openai_moderation:{server.url},{NO_ARCHIVE}").score(["a"], "en")
    assert scores.reasons == [None]
    assert set(scores.absent) == set(OTHERS)


@pytest.mark.parametrize("answer", [{}, {"results": []}, [], None])
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
    assert scorer.name == "judge:some/model"
    assert scorer.former_names == (f"judge:{server.url},some/model",)
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


def reply(*tokens, **shares):
    """A reply of those tokens, of which the last one's alternatives are given."""
    content = [
        {"token": token, "logprob": -0.01, "top_logprobs": [{"token": token, "logprob": 0.0}]} for token in tokens
    ]
    content[-1]["top_logprobs"] = [{"token": t, "logprob": math.log(share)} for t, share in shares.items()]
    return 200, {"choices": [{"message": {"content": "".join(tokens)}, "logprobs": {"content": content}}]}


THOUGHT = ("<think>", "2 or 3?", " hm", "</think>", "\n\n")


def thinks(payload):
    if payload.get("max_tokens", 0) < len(THOUGHT) + 1:
        return reply(*THOUGHT[: payload["max_tokens"]], **{THOUGHT[0]: 1.0})
    return reply(*THOUGHT, "3", **{"3": 0.75, "1": 0.25})


def test_a_judge_that_thinks_first_gets_room_and_is_read_after_it(server):
    server.answers["/v1/chat/completions"] = thinks
    scores = scorers.load(f"judge:{server.url},m,{NO_ARCHIVE}").score(["a", "", "b"], "en")
    np.testing.assert_allclose(scores.values["toxicity"], [2.5 / 4, math.nan, 2.5 / 4])
    assert scores.reasons == [None, "empty text", None]
    assert [payload["max_tokens"] for _, _, payload in server.seen] == [1, *[judge.THINKING_TOKENS] * 3]


def test_a_judge_that_is_set_up_wrongly_is_found_out_by_one_text(server, tmp_path):
    server.answers["/v1/chat/completions"] = lambda _: reply("I", I=1.0)
    spec = f"judge:{server.url},m,archive={tmp_path / 'scores.sqlite'}"
    for work in (lambda: scorers.load(spec).score(TEXTS, "en"), lambda: scorers.load(spec).ready()):
        with pytest.raises(DetoxbenchError, match="cannot rate even a harmless sentence: the judge gave no rating"):
            work()
    assert len(server.seen) == 4
    server.answers["/v1/chat/completions"] = chat
    assert scorers.load(spec).score(TEXTS, "en").reasons == [None] * len(TEXTS)


def test_thinking_that_does_not_end_is_asked_again(server):
    def endless(payload):
        text = payload["messages"][1]["content"]
        return reply("<think>", "...", **{"...": 1.0}) if "hard" in text else thinks(payload)

    server.answers["/v1/chat/completions"] = endless
    scores = scorers.load(f"judge:{server.url},m,max_tokens=64,{NO_ARCHIVE}").score(["hard", "a"], "en")
    assert "still thinking after 2 tokens" in scores.reasons[0]
    assert list(scores.retry) == [True, False]


def test_servers_that_want_max_completion_tokens(server):
    def newer(payload):
        if "max_tokens" in payload:
            message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return 400, {"error": {"message": message, "code": "unsupported_parameter"}}
        return reply("4", **{"4": 1.0})

    server.answers["/v1/chat/completions"] = newer
    assert list(scorers.load(f"judge:{server.url},m,{NO_ARCHIVE}").score(["a"], "en").values["toxicity"]) == [1.0]


def test_options_of_the_server(server):
    extra = '{"chat_template_kwargs": {"enable_thinking": false}, "top_logprobs": 5}'
    scorer = scorers.load(f"judge:{server.url},m,extra_body={extra},max_tokens=1,{NO_ARCHIVE}")
    scorer.score(["a"], "en")
    assert server.seen[-1][2]["chat_template_kwargs"] == {"enable_thinking": False}
    assert server.seen[-1][2]["top_logprobs"] == 5
    assert "max_tokens:1 extra_body:" in scorer.version
    with pytest.raises(DetoxbenchError, match="a JSON object such as"):
        scorers.load(f"judge:{server.url},m,extra_body=no")


@pytest.mark.parametrize(("code", "again"), [("content_filter", False), ("invalid_request_error", True), (None, True)])
def test_only_a_filter_refuses_a_text_for_good(server, tmp_path, code, again):
    def refusing(payload):
        if "refused" in payload["messages"][1]["content"]:
            return 400, {"error": {"message": "no", "code": code}}
        return chat(payload)

    server.answers["/v1/chat/completions"] = refusing
    spec = f"judge:{server.url},m,backoff=0.002,archive={tmp_path / 'scores.sqlite'}"
    assert list(scorers.load(spec).score(["refused"], "en").retry or [False]) == [again]
    server.answers["/v1/chat/completions"] = chat
    assert (scorers.load(spec).score(["refused"], "en").reasons == [None]) is again


def test_answers_are_found_after_any_thinking():
    def entry(token):
        return {"token": token, "top_logprobs": [token]}

    for tokens in (["3"], ["\n", " 3"], ["<think>", "</think>", "\n", "3"], ["</think>", "3"],
                   ["<|channel|>", "analysis", "2", "<|channel|>", "final", "<|message|>", "3"]):  # fmt: skip
        assert judge.answer_of([entry(token) for token in tokens])[0].strip() == "3"
    for tokens in (["<think>", "3"], ["<think>", "3", "</think>"]):
        with pytest.raises(judge.StillThinkingError):
            judge.answer_of([entry(token) for token in tokens])
    with pytest.raises(ValueError, match="said nothing"):
        judge.answer_of([])


MISTRAL = ("sexual", "hate_and_discrimination", "violence_and_threats", "dangerous_and_criminal_content", "selfharm",
           "health", "financial", "law", "pii")  # fmt: skip


def test_mistrals_categories(server):
    server.answers["/v1/moderations"] = lambda payload: (
        200,
        {
            "results": [
                {"category_scores": {name: category(text, name) for name in MISTRAL}} for text in payload["input"]
            ]
        },
    )
    scorer = scorers.load(f"openai_moderation:{server.url},model=mistral-moderation-latest,{NO_ARCHIVE}")
    scores = scorer.score(TEXTS, "fr")
    assert list(scores.values["toxicity"]) == [category(text, "hate_and_discrimination") for text in TEXTS]
    assert list(scores.values["pii"]) == [category(text, "pii") for text in TEXTS]
    assert scorer.name == "openai_moderation:mistral-moderation-latest"
    server.seen.clear()
    with pytest.raises(DetoxbenchError, match="has no category 'harassment'; it has .*hate_and_discrimination"):
        scorers.load(f"openai_moderation:{server.url},{NO_ARCHIVE}").score(["a"], "fr")
    assert len(server.seen) == 1  # not asked again as if it would pass


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
    seen = [authorization for _, authorization, _ in server.seen]
    assert seen == [None] * (len(seen) // 2) + [f"Bearer {SECRET}"] * (len(seen) // 2)


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
