"""Answers of servers that nobody would give in good faith: never a score, never for good, never a traceback."""

from __future__ import annotations

import json

import pytest

from detoxbench.core.scorers import perspective_api
from detoxbench.core.scorers.perspective_api import RefusedError
from detoxbench.core.scorers.retry import Transient

NESTED = b"[" * 1_000_000
BODIES = [b"", b"<html>portal</html>", NESTED, b"null", b'{"error": {"details": 5, "errors": true}}']


@pytest.mark.parametrize("status", [301, 302, 307, 308, 403, 404, 405, 407, 410, 413, 418, 451])
@pytest.mark.parametrize(
    "body", [b"", b"<html>portal</html>", NESTED, b"null", b'{"error": {"details": 5, "errors": true}}']
)
def test_a_bare_status_is_no_answer_for_good(status, body):
    try:
        answer = perspective_api.read(status, {}, body, ["toxicity"])
    except (Transient, RefusedError):
        return
    assert answer.scores is None
    assert answer.again


@pytest.mark.parametrize("value", [-3, 1.5, "NaN", float("nan"), 10**400, "1e999", None, [], {"a": 1}, "0.5x"])
def test_what_is_no_probability_is_no_score(value):
    body = json.dumps({"attributeScores": {"TOXICITY": {"summaryScore": {"value": value}}}}).encode()
    with pytest.raises(Transient, match="could not be read"):
        perspective_api.read(200, {}, body, ["toxicity"])


@pytest.mark.parametrize("body", [NESTED, b'{"attributeScores": {"TOXICITY": {}, "TOXICITY": {}}}', b"[1]", b"\xff"])
def test_what_is_no_response_is_asked_again(body):
    with pytest.raises(Transient):
        perspective_api.read(200, {}, body, ["toxicity"])
