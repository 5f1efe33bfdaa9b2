"""Perspective by googleapiclient against a server on loopback that misbehaves."""

import time

import numpy as np
import pytest
from fake_perspective import KEY, Fault, expected

from detoxbench.core import scorers
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.scorers import perspective_api as api
from detoxbench.core.scorers.perspective import PerspectiveScorer
from detoxbench.core.scorers.rate_limit import RateLimiter

TEXTS = [f"a sentence about the number {number}" for number in range(60)]


def scorer(server, qps=1000, **options):
    """Quick to try again, and in batches of 100 at 1,000 queries per second."""
    return PerspectiveScorer(qps=qps, endpoint=server.url, **{"backoff": 0.002, **options})


def check(scores, texts=TEXTS, attributes=("toxicity", "severe_toxicity", "flirtation")):
    assert scores.reasons == [None] * len(texts)
    for attribute in attributes:
        assert list(scores.values[attribute]) == [expected(text, attribute) for text in texts]


# What is sent


@pytest.mark.parametrize("qps", [1, 1000])
def test_scores_are_the_summary_scores(serve, qps):
    server = serve()
    texts = TEXTS if qps == 1000 else TEXTS[:2]
    check(scorer(server, qps).score(texts, "en"), texts)
    assert server.requests == (1 if qps == 1000 else 2)


def test_the_request_names_the_language_and_asks_not_to_be_stored(serve):
    server = serve()
    scorer(server).score(["one", "two"], "en")
    for body in server.bodies:
        assert body["languages"] == ["en"]
        assert body["doNotStore"] is True
        assert set(body["requestedAttributes"]) == {name.upper() for name in scorer(server).attributes}
        assert len(body["requestedAttributes"]) == 8


def test_every_text_is_sent_once(serve):
    server = serve()
    texts = ["same", "other", "same", "same"]
    scores = scorer(server).score(texts, "en")
    assert server.asked == {"same": 1, "other": 1}
    assert list(scores.values["toxicity"]) == [expected(text, "toxicity") for text in texts]


def test_no_texts(serve):
    server = serve()
    assert scorer(server).score([], "en").reasons == []
    assert server.requests == 0


def test_the_served_discovery_document_is_the_embedded_one(serve):
    import requests

    server = serve()
    assert requests.get(server.url + "$discovery/rest").json() == api.discovery(server.url)


@pytest.mark.parametrize(("lang", "sent"), [("zh-Hans", "zh"), ("pt-BR", "pt"), ("hi-Latn", "hi-Latn"), ("de", "de")])
def test_languages(serve, lang, sent):
    server = serve()
    scores = scorer(server).score(["a", "b"], lang)
    assert {tuple(body["languages"]) for body in server.bodies} == {(sent,)}
    assert set(scores.absent) == {"sexually_explicit", "flirtation"}
    assert np.isnan(scores.values["flirtation"]).all()
    assert scores.reasons == [None, None]
    assert list(scores.values["threat"]) == [expected(text, "threat") for text in "ab"]


def test_an_unsupported_language_is_refused_before_anything_is_sent(serve):
    server = serve()
    with pytest.raises(DetoxbenchError, match="does not support language 'fi'"):
        scorer(server).score(["a"], "fi")
    assert server.requests == 0


def test_an_unsupported_language_may_be_left_unscored(serve):
    server = serve()
    lenient = scorers.load(f"perspective:endpoint={server.url},qps=100,on_unsupported=nan,archive=none")
    scores = lenient.score(["a"], "fi")
    assert scores.reasons == ["language 'fi' is not supported by perspective"]
    assert server.requests == 0
    assert lenient.score(["a"], "en").values["toxicity"][0] == expected("a", "toxicity")


def test_attributes_can_be_chosen(serve):
    server = serve()
    some = scorers.load(f"perspective:endpoint={server.url},attributes=THREAT+insult,qps=100,archive=none")
    assert some.attributes == ("threat", "insult")
    assert set(some.score(["a"], "de").values) == {"threat", "insult"}
    assert set(server.bodies[0]["requestedAttributes"]) == {"THREAT", "INSULT"}


def test_a_first_attribute_that_the_language_lacks(serve):
    with pytest.raises(DetoxbenchError, match="English only"):
        scorer(serve(), attributes=("flirtation", "toxicity")).score(["a"], "de")


# Reasons


def test_permanent_errors_are_nan_with_the_reason_of_the_api(serve):
    server = serve()
    texts = ["", "   ", "x" * 20481, "fine", "é" * 10240 + "x", "x" * 20480]
    scores = scorer(server).score(texts, "en")
    assert [reason and reason.split(":")[0] for reason in scores.reasons] == [
        "COMMENT_EMPTY", "COMMENT_EMPTY", "COMMENT_TOO_LONG", None, "COMMENT_TOO_LONG", None
    ]  # fmt: skip
    assert scores.reasons[1] == "COMMENT_EMPTY: Comment must be non-empty."
    assert list(np.isnan(scores.values["toxicity"])) == [True, True, True, False, True, False]
    assert not any(scores.retry)
    assert max(server.asked.values()) == 1


def test_a_refusal_of_one_text_does_not_touch_the_others(serve):
    server = serve(inner=lambda text, _: Fault(status=400, reason="INVALID_ARGUMENT") if "7" in text else None)
    scores = scorer(server).score(TEXTS, "en")
    for text, value, reason in zip(TEXTS, scores.values["toxicity"], scores.reasons, strict=True):
        assert (reason == "INVALID_ARGUMENT: injected 400") if "7" in text else value == expected(text, "toxicity")


# Failures that pass


@pytest.mark.parametrize("qps", [20, 1000])
@pytest.mark.parametrize(
    "fault",
    [Fault(), Fault(status=500), Fault(status=503), Fault("drop"), Fault("truncate"), Fault("cut"), Fault("garbage")],
    ids=lambda fault: fault.kind if fault.kind != "status" else str(fault.status),
)
def test_a_request_that_fails_is_asked_again(serve, fault, qps):
    server = serve(outer=[fault] * 3)
    texts = TEXTS if qps == 1000 else TEXTS[:6]
    check(scorer(server, qps).score(texts, "en"), texts)
    assert server.requests > 3


def test_a_storm_of_429(serve):
    server = serve(inner=lambda text, times: Fault() if times <= 1 + len(text) % 4 else None, shuffle=True)
    check(scorer(server).score(TEXTS, "en"))


def test_only_the_parts_that_failed_are_asked_again(serve):
    server = serve(inner=lambda text, times: Fault(status=503) if "3" in text and times == 1 else None)
    check(scorer(server).score(TEXTS, "en"))
    assert {text for text, times in server.asked.items() if times > 1} == {text for text in TEXTS if "3" in text}


def test_answers_out_of_order(serve):
    check(scorer(serve(shuffle=True)).score(TEXTS, "en"))


def test_what_a_cut_batch_has_is_kept(serve):
    server = serve(outer=[Fault("cut")])
    check(scorer(server).score(TEXTS, "en"))
    assert 0 < sum(times == 1 for times in server.asked.values()) < len(TEXTS)


def test_a_server_that_drips_is_left(serve):
    server = serve(outer=[Fault("slow", seconds=0.4)])
    check(scorer(server, whole_seconds=0.5).score(TEXTS, "en"))
    assert server.requests == 2


def test_a_slow_server_is_waited_for(serve):
    check(scorer(serve(outer=[Fault("slow", seconds=0.01)])).score(TEXTS, "en"))


def test_an_exhausted_quota_in_disguise(serve):
    def fault(text, times):
        return Fault(status=403, reason="quotaExceeded") if times == 1 else None

    server = serve(inner=fault)
    server.analyze = _with_reason(server.analyze, "rateLimitExceeded")
    check(scorer(server).score(TEXTS, "en"))


def _with_reason(analyze, reason):
    def wrapped(body):
        status, headers, answer = analyze(body)
        if status == 403:
            answer["error"]["errors"] = [{"reason": reason}]
        return status, headers, answer

    return wrapped


class Clock:
    """Turned by whoever sleeps on it."""

    def __init__(self):
        self.now, self.slept = 0.0, []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "17"},
        {"retry-after": "Wed, 01 Jan 2020 00:00:17 GMT", "Date": "Wed, 01 Jan 2020 00:00:00 GMT"},
    ],
    ids=["seconds", "date"],
)
@pytest.mark.parametrize("whole", [True, False], ids=["request", "part"])
def test_retry_after_is_honoured(serve, headers, whole):
    fault = Fault(status=503, headers=headers)
    server = serve(outer=[fault]) if whole else serve(inner=lambda _, times: fault if times == 1 else None)
    clock = Clock()
    limiter = RateLimiter(1000, clock=clock, sleep=clock.sleep)
    check(scorer(server, limiter=limiter, sleep=clock.sleep).score(TEXTS, "en"))
    assert max(clock.slept) >= 17
    assert clock.now < 60


def test_clock_jumps_do_not_matter(serve, monkeypatch):
    jumps = iter([1e9, 0.0, 2e9, -1e6, 4e9, 5.0] * 10_000)
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    date = {"Retry-After": "Wed, 01 Jan 2020 00:00:01 GMT", "Date": "Wed, 01 Jan 2020 00:00:00 GMT"}
    server = serve(outer=[Fault(headers=date)])
    start = time.monotonic()
    check(scorer(server, qps=100).score(TEXTS, "en"))
    assert time.monotonic() - start >= 1


def test_what_never_passes_is_unscored_and_may_be_asked_again(serve):
    server = serve(inner=lambda text, _: Fault(status=500) if "11" in text else None)
    scores = scorer(server, attempts=3).score(TEXTS, "en")
    for text, reason, retry in zip(TEXTS, scores.reasons, scores.retry, strict=True):
        assert retry == ("11" in text)
        assert reason == ("RESOURCE_EXHAUSTED: injected 500 (after 3 attempts)" if retry else None)


def test_a_dead_server_is_given_up(serve):
    server = serve()
    server.shutdown()
    server.server_close()
    scores = scorer(server, qps=50, attempts=1).score([f"text {number}" for number in range(200)], "en")
    assert np.isnan(scores.values["toxicity"]).all()
    assert all(scores.retry)
    assert scores.reasons[0].startswith("broken connection")
    assert scores.reasons[-1] == "not asked for: the service does not answer"


# The quota


def test_the_quota_is_kept_in_every_second(serve):
    server = serve()
    texts = [f"text {number}" for number in range(150)]
    check(scorer(server, qps=50).score(texts, "en"), texts)
    assert server.busiest_second() <= 50


# The key


def test_the_key_reaches_the_server_in_a_header(serve):
    server = serve(key=KEY)
    check(scorer(server).score(TEXTS, "en"))
    check(scorer(server, qps=5).score(TEXTS[:2], "en"), TEXTS[:2])
    assert not any(KEY in line.split("\n")[0] or "key=" in line.split("\n")[0] for line in server.seen)


def test_without_a_key(serve, monkeypatch):
    server = serve()
    monkeypatch.delenv("PERSPECTIVE_API_KEY")
    with pytest.raises(DetoxbenchError, match="PERSPECTIVE_API_KEY"):
        scorer(server).score(["a"], "en")
    assert server.requests == 0


def test_a_wrong_key_ends_the_run(serve, monkeypatch):
    server = serve(key="another")
    for qps in (5, 1000):
        with pytest.raises(DetoxbenchError, match=r"API_KEY_INVALID: API key not valid\."):
            scorer(server, qps).score(TEXTS, "en")
    assert server.requests <= 25


@pytest.mark.parametrize("status", [301, 302, 307, 401, 403, 404, 405, 410, 418, 451, 501])
def test_a_service_that_is_gone_says_so(serve, status):
    server = serve(outer=[Fault(status=status)] * 100)
    with pytest.raises(DetoxbenchError, match="ends service on 31 December 2026"):
        scorer(server).score(TEXTS, "en")


# Specifications


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("perspective:qps=0", "queries per second from 1 to 1000"),
        ("perspective:qps=ten", "queries per second from 1 to 1000"),
        ("perspective:attribute=threat", "did you mean 'attributes'"),
        ("perspective:attributes=toxic", "did you mean 'toxicity'"),
        ("perspective:endpoint=http://example.org/", "use https"),
        ("perspective:endpoint=ftp://example.org/", "is not a URL"),
        ("perspective:en", "unknown option"),
    ],
)
def test_wrong_specifications(spec, says):
    with pytest.raises(DetoxbenchError, match=says):
        scorers.load(spec)


def test_a_key_is_not_an_option():
    with pytest.raises(DetoxbenchError, match="unknown option") as error:
        scorers.load(f"perspective:key={KEY}")
    assert KEY not in str(error.value)


def test_the_version_is_the_month_of_the_api(monkeypatch):
    assert PerspectiveScorer().version.startswith("v1alpha1@20")
    assert PerspectiveScorer(version="v1alpha1@2021-03").version == "v1alpha1@2021-03"


def test_what_is_no_probability_is_no_score():
    body = {"attributeScores": {"TOXICITY": {"summaryScore": {"value": 1.5}}}}
    with pytest.raises(ValueError, match="no probability"):
        api.summary_scores(body)


@pytest.mark.parametrize("status", [400, 413])
def test_a_batch_that_is_refused_is_sent_in_single_requests(serve, status):
    server = serve(outer=[Fault(status=status, reason="INVALID_ARGUMENT")])
    check(scorer(server).score(TEXTS, "en"))
    assert all(count == 1 for count in server.answered.values())


def test_a_lone_surrogate_is_sent_as_a_replacement_character(serve):
    server = serve()
    assert scorer(server).score(["a\ud800b"], "en").reasons == [None]
    assert list(server.asked) == ["a\ufffdb"]


@pytest.mark.parametrize("status", [301, 302, 307, 400, 405, 409, 413, 415, 418, 451, 501, 503])
@pytest.mark.parametrize("where", ["outer", "inner"])
def test_what_is_no_refusal_of_the_text_is_never_stored(serve, tmp_path, status, where):
    """A captive portal, a proxy or the end of the API: once the service is healthy, everything is asked for again."""
    path = tmp_path / "scores.sqlite"
    fault = Fault(status=status, reason="SOMETHING")
    sick = serve(outer=[fault] * 100) if where == "outer" else serve(inner=lambda text, _: fault)
    spec = "perspective:qps={},endpoint={},backoff=0.001,attempts=2"
    for qps in (10, 1000):
        try:
            scores = scorers.load(spec.format(qps, sick.url), archive=str(path)).score(TEXTS[:5], "en")
        except DetoxbenchError:
            continue
        assert all(scores.retry)
    healthy = scorers.load(spec.format(1000, serve().url), archive=str(path))
    assert healthy.score(TEXTS[:5], "en").reasons == [None] * 5


def test_a_refusal_of_the_text_is_stored(serve, tmp_path):
    server = serve()
    for _ in range(2):
        scorer = scorers.load(f"perspective:qps=1000,endpoint={server.url}", archive=str(tmp_path / "scores.sqlite"))
        assert scorer.score(["   "], "en").reasons == ["COMMENT_EMPTY: Comment must be non-empty."]
    assert server.asked == {"   ": 1}
