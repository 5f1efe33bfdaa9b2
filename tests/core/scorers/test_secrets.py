"""The key is in no result, log, error, exception chain, traceback, process argument or file."""

import io
import logging
import os
import subprocess
import sys
import traceback
from urllib.parse import quote

import pytest
from fake_perspective import KEY, Fault

from detoxbench.core import scorers
from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.scorers.archive import default_path
from detoxbench.core.scorers.perspective import PerspectiveScorer
from detoxbench.core.scorers.retry import Transient
from detoxbench.core.scorers.transport import Transport, scrub

TEXTS = [f"text {number}" for number in range(12)]
FORMS = {KEY, quote(KEY, safe=""), quote(KEY)}

ECHO = Fault(status=400, reason=f"the key {KEY} is wrong, see https://host/?key={quote(KEY, safe='')}&alt=json")


def everything_of(error, seen=None):
    """An exception with its chain, its arguments, and the local variables of every frame that it came through."""
    seen = seen if seen is not None else set()
    if error is None or id(error) in seen:
        return ""
    seen.add(id(error))
    text = "".join(traceback.format_exception(error)) + repr(error) + repr(error.args) + repr(vars(error))
    frame = error.__traceback__
    while frame is not None:
        # Frames of the tests hold the key themselves.
        if "detoxbench" in frame.tb_frame.f_code.co_filename or "site-packages" in frame.tb_frame.f_code.co_filename:
            text += "".join(
                repr(value) for value in frame.tb_frame.f_locals.values() if not isinstance(value, type(os.environ))
            )
        frame = frame.tb_next
    return text + everything_of(error.__cause__, seen) + everything_of(error.__context__, seen)


@pytest.mark.parametrize("qps", [5, 1000])
@pytest.mark.parametrize(
    "server",
    [
        {}, {"outer": [ECHO] * 50}, {"inner": lambda *_: ECHO}, {"key": "another"}, {"outer": [Fault(status=403)] * 50},
        {"outer": [Fault("drop")] * 50}, {"outer": [Fault("garbage")] * 50}, {"outer": [Fault("truncate")] * 50},
        {"outer": [Fault(status=500, reason=KEY)] * 50},
    ],
    ids=["fine", "echo", "echo in parts", "wrong key", "refused", "drop", "garbage", "truncate", "500"],
)  # fmt: skip
def test_the_key_appears_nowhere(serve, server, qps, capfd, monkeypatch, tmp_path):
    running = serve(**server)
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    root = logging.getLogger()
    monkeypatch.setattr(root, "level", logging.DEBUG)
    root.addHandler(handler)
    found = ""
    try:
        scorer = scorers.load(f"perspective:endpoint={running.url},qps={qps},attempts=2,backoff=0.001")
        scores = scorer.score(TEXTS[:3] if qps == 5 else TEXTS, "en")
        found += repr(scores) + repr(scorer) + scorer.version + scorer.name
    except Exception as error:
        found += everything_of(error)
    finally:
        root.removeHandler(handler)
    output = capfd.readouterr()
    found += log.getvalue() + output.out + output.err
    found += "".join(path.read_bytes().decode("latin-1") for path in default_path().parent.glob("default.sqlite*"))
    assert running.requests
    for form in FORMS:
        assert form not in found


def test_a_key_that_the_libraries_would_show():
    """requests refuses a header with a line break by quoting it."""
    with pytest.raises(DetoxbenchError, match="is not one") as error:
        Transport("first\nsecond")
    assert "second" not in str(error.value)


def test_a_broken_connection_has_no_context():
    transport = Transport(KEY)
    with pytest.raises(Transient, match="broken connection") as error:
        transport.request("http://127.0.0.1:9/", "POST", "{}")
    assert error.value.__cause__ is None
    assert error.value.__context__ is None
    assert KEY not in everything_of(error.value)
    assert KEY not in repr(transport)


def test_it_is_not_in_the_arguments_of_a_process(serve):
    server = serve(latency=1.0)
    code = "from detoxbench.core import scorers; scorers.load('perspective:qps=1,endpoint={}').score(['a'], 'en')"
    process = subprocess.Popen([sys.executable, "-c", code.format(server.url)], env=dict(os.environ))
    while not server.requests and process.poll() is None:
        pass
    with open(f"/proc/{process.pid}/cmdline" if sys.platform == "linux" else os.devnull) as file:
        arguments = file.read()
    assert process.wait() == 0
    assert KEY not in arguments


def test_it_is_read_from_the_environment_only():
    with pytest.raises(TypeError):
        PerspectiveScorer(key=KEY)


def test_scrubbing():
    assert scrub(f"a {KEY} b {quote(KEY, safe='')}", KEY) == "a *** b ***"
    assert scrub("https://host/path?alt=json&key=AIzaXYZ&x=1 'more'") == "https://host/path?alt=json&key=***&x=1 'more'"
    assert scrub("nothing", None) == "nothing"


@pytest.mark.parametrize("url", ["https://host/v1?api_key={}", "https://user:{}@host/v1", "https://host/v1#{}"])
@pytest.mark.parametrize("spec", ["openai_moderation:{}", "judge:{},model", "perspective:endpoint={}"])
def test_a_url_that_carries_a_key_is_refused_without_repeating_it(spec, url):
    with pytest.raises(DetoxbenchError, match="keys come from the environment only") as error:
        scorers.load(spec.format(url.format("AIzaXYZ")))
    assert "AIzaXYZ" not in str(error.value)
