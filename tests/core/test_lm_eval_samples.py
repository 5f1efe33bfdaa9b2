"""K samples of a prompt in one request, from servers that know ``n``, and from others that refuse or ignore it."""

from __future__ import annotations

import http.server
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from lm_eval.api.instance import Instance
from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI

from detoxbench.core import lm_eval_samples
from detoxbench.core.lm_eval_samples import asking_once

SETTINGS = {"do_sample": True, "temperature": 1.0, "top_p": 0.9, "max_gen_toks": 5, "until": [], "seed": None}


class Server(http.server.ThreadingHTTPServer):
    """Counts what it is asked; ``most``: texts that it gives at once, 0 refuses ``n``."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.most, self.lock, self.failing = [], 1000, threading.Lock(), 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.asked.append(given)
            number = len(server.asked)
        n = given.get("n", 1)
        if (server.most == 0 and n > 1) or 0 < server.failing <= number:
            self._answer(400, {"error": "n is not known here"})
            return
        said = given["messages"][-1]["content"] if "messages" in given else given["prompt"]
        said = said[0] if isinstance(said, list) else said
        texts = [f"{said} {number}.{place}" for place in range(min(n, max(server.most, 1)))]
        choices = [
            {"index": at, "text": text, "message": {"content": None if text.startswith("nothing") else text}}
            for at, text in enumerate(texts)
        ]
        self._answer(200, {"choices": choices[::-1]})

    def _answer(self, status, content):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    made = Server()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()


def lm(server, kind=LocalCompletionsAPI, **given):
    options = {"base_url": f"http://127.0.0.1:{server.server_port}/", "model": "x", "tokenizer_backend": None}
    return kind(**{**options, "tokenized_requests": False, "max_retries": 1, **given})


def ask(model, k=3, prompts=("a", "b"), task="ours"):
    rows = [Instance("generate_until", {}, (text, dict(SETTINGS)), i, (task, i, k)) for i, text in enumerate(prompts)]
    every = [row for row in rows for _ in range(k)]
    # lm-eval starts an event loop, which a thread with a browser's (of other tests in this process) refuses.
    with asking_once(lambda request: request.task_name == "ours"), ThreadPoolExecutor(1) as another:
        return another.submit(model.generate_until, every, disable_tqdm=True).result()


@pytest.mark.parametrize(
    "given", [{}, {"num_concurrent": 4}, {"batch_size": 8}, {"batch_size": 8, "num_concurrent": 4}]
)
def test_one_request_a_prompt(server, given):
    """In order, whichever order the server lists its texts in."""
    model = lm(server, **given)
    texts = ask(model)
    assert [request["n"] for request in server.asked] == [3, 3]
    assert [text[0] + text[3:] for text in texts] == ["a.0", "a.1", "a.2", "b.0", "b.1", "b.2"]
    assert "seed" in server.asked[0]
    assert server.asked[0]["seed"] is None
    assert (model._batch_size, "parse_generations" in vars(model)) == (given.get("batch_size", 1), False)


def test_many_are_asked_for_in_parts(server, monkeypatch):
    monkeypatch.setattr(lm_eval_samples, "MOST", 4)
    assert len(set(ask(lm(server), k=10, prompts=["a"]))) == 10
    assert [request["n"] for request in server.asked] == [4, 4, 2]


def test_one_sample_and_other_tasks_are_asked_for_as_ever(server):
    assert ask(lm(server), k=1) == ["a 1.0", "b 2.0"]
    assert len(ask(lm(server), task="another")) == 6
    assert len(server.asked) == 8
    assert all("n" not in request for request in server.asked)
    assert "generate_until" not in vars(LocalCompletionsAPI)


@pytest.mark.parametrize(("most", "requests"), [(0, 7), (1, 6), (2, 5)])
def test_a_server_that_does_not_know_it(server, caplog, most, requests):
    """It refuses, gives one, or fewer: each text is asked for once."""
    server.most = most
    texts = ask(lm(server))
    assert len(set(texts)) == 6
    assert [text[0] for text in texts] == list("aaabbb")
    assert len(server.asked) == requests
    assert "is asked for each" in caplog.text


def test_a_fault_of_another_kind_is_one(server):
    server.failing = 2
    with pytest.raises(Exception, match="400"):
        ask(lm(server))
    assert len(server.asked) == 2


def test_chat_and_texts_that_are_nothing(server):
    model = lm(server, LocalChatCompletion)
    rows = [
        Instance("generate_until", {}, (json_chat(text), dict(SETTINGS)), i, ("ours", i, 2))
        for i, text in enumerate(("a", "nothing"))
    ]
    with asking_once(lambda _: True):
        texts = model.generate_until([row for row in rows for _ in range(2)], disable_tqdm=True)
    assert texts == ["a 1.0", "a 1.1", "", ""]


def json_chat(text):
    from lm_eval.models.api_models import JsonChatStr

    return JsonChatStr(json.dumps([{"role": "user", "content": text}]))
