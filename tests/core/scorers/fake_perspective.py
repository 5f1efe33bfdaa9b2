"""A server on loopback that speaks the Comment Analyzer's REST and multipart batch protocol, and misbehaves on demand.

Run as a program it serves in a process of its own, for benchmarks, and prints its URL.
"""

import hashlib
import json
import re
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "AIza-test+secret/key=0123456789"
"""Has characters that are quoted in URLs."""
LANGUAGES = {"ar", "cs", "de", "en", "es", "fr", "hi", "hi-Latn", "it", "ja", "ko", "nl", "pl", "pt", "ru", "sv", "zh"}
ENGLISH_ONLY = {"SEXUALLY_EXPLICIT", "FLIRTATION"}


def expected(text: str, attribute: str) -> float:
    """The score that the server gives: a function of text and attribute, with as many digits as the real one's."""
    digest = hashlib.sha256(f"{attribute.upper()}\0{text}".encode("utf-8", "surrogatepass")).digest()
    return round(int.from_bytes(digest[:4], "big") / 2**32, 8)


@dataclass
class Fault:
    """How an answer goes wrong: a status with headers, or ``drop``, ``truncate``, ``slow``, ``cut``, ``garbage``."""

    kind: str = "status"
    status: int = 429
    headers: dict = field(default_factory=dict)
    reason: str = "RESOURCE_EXHAUSTED"
    seconds: float = 0.0


def error(code: int, status: str, message: str, kind: str | None = None) -> dict:
    details = (
        [{"@type": "type.googleapis.com/google.commentanalyzer.v1alpha1.Error", "errorType": kind}] if kind else []
    )
    return {"error": {"code": code, "message": message, "status": status, "details": details}}


class FakePerspective(ThreadingHTTPServer):
    """Args: outer: faults of whole HTTP requests, used up in order. inner: (text, times it was asked) -> fault of its
    part. quota: queries in any second, beyond which it answers 429. shuffle: parts out of order."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, outer=(), inner=None, quota=None, shuffle=False, latency=0.0, key=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.outer, self.inner, self.quota, self.shuffle, self.latency = list(outer), inner, quota, shuffle, latency
        self.key = key
        self.lock = threading.Lock()
        self.arrivals: list[tuple[float, int]] = []
        self.asked: dict[str, int] = {}
        self.answered: dict[str, int] = {}
        self.seen: list[str] = []
        self.bodies: list[dict] = []
        self.requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        pass  # clients are killed, and connections dropped, on purpose

    def count(self, queries: int) -> tuple[Fault | None, bool]:
        """The fault of this request, and whether the quota is exceeded."""
        with self.lock:
            self.requests += 1
            now = time.monotonic()
            self.arrivals.append((now, queries))
            recent = sum(n for at, n in self.arrivals[-1500:] if at > now - 1)
            fault = self.outer.pop(0) if self.outer else None
            return fault, self.quota is not None and recent > self.quota

    def busiest_second(self) -> int:
        """Most queries that arrived within any half-open second."""
        best = start = total = 0
        for at, queries in self.arrivals:
            total += queries
            while at - self.arrivals[start][0] >= 1:
                total -= self.arrivals[start][1]
                start += 1
            best = max(best, total)
        return best

    def analyze(self, body: dict) -> tuple[int, dict, dict]:
        """Status, headers and answer to one query."""
        text, languages = body["comment"]["text"], body["languages"]
        with self.lock:
            self.asked[text] = times = self.asked.get(text, 0) + 1
            self.bodies.append(body)
        fault = self.inner(text, times) if self.inner else None
        if fault is not None:
            return fault.status, fault.headers, error(fault.status, fault.reason, f"injected {fault.status}")
        if not text.strip():
            return 400, {}, error(400, "INVALID_ARGUMENT", "Comment must be non-empty.", "COMMENT_EMPTY")
        if len(text.encode("utf-8", "surrogatepass")) > 20480:
            return 400, {}, error(400, "INVALID_ARGUMENT", "Comment text too long.", "COMMENT_TOO_LONG")
        for name in body["requestedAttributes"]:
            if not set(languages) <= LANGUAGES or (name in ENGLISH_ONLY and languages != ["en"]):
                message = f"Attribute {name} does not support request languages: {', '.join(languages)}"
                return 400, {}, error(400, "INVALID_ARGUMENT", message, "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE")
        scores = {
            name: {
                "spanScores": [{"begin": 0, "end": len(text), "score": {"value": 0.5, "type": "PROBABILITY"}}],
                "summaryScore": {"value": expected(text, name), "type": "PROBABILITY"},
            }
            for name in body["requestedAttributes"]
        }
        with self.lock:
            self.answered[text] = self.answered.get(text, 0) + 1
        return 200, {}, {"attributeScores": scores, "languages": languages, "detectedLanguages": languages}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: FakePerspective

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path.startswith("/$discovery"):
            from detoxbench.core.scorers.perspective_api import discovery

            self._send(200, {}, json.dumps(discovery(self.server.url)).encode())
        else:
            state = {"arrivals": self.server.arrivals, "busiest": self.server.busiest_second()}
            self._send(200, {}, json.dumps(state).encode())

    def do_POST(self):
        content = self.rfile.read(int(self.headers["content-length"])).decode()
        self.server.seen.append(self.requestline + "\n" + str(self.headers))
        if self.path.startswith("/batch"):
            boundary = re.search(r'boundary="?([^";]+)', self.headers["content-type"])[1]
            parts = [part.lstrip("\n").split("\n\n", 2) for part in content.split(f"--{boundary}")[1:-1]]
        else:
            parts = [("", f"{self.requestline}\nx-goog-api-key: {self.headers.get('x-goog-api-key')}", content)]
        fault, exceeded = self.server.count(len(parts))
        if self.server.latency:
            time.sleep(self.server.latency)
        if exceeded:
            fault = Fault(headers={"Retry-After": "1"})
        if fault is not None and fault.kind == "status":
            body = error(fault.status, fault.reason, "injected")
            return self._send(fault.status, fault.headers, json.dumps(body).encode())
        if fault is not None and fault.kind == "drop":
            # A reset, not an orderly end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return self.connection.close()
        answers = []
        for outer, inner, body in parts:
            if self.server.key and f"x-goog-api-key: {self.server.key}" not in inner:
                status, headers, answer = 400, {}, error(400, "INVALID_ARGUMENT", "API key not valid.")
                answer["error"]["details"] = [{"reason": "API_KEY_INVALID"}]
            else:
                status, headers, answer = self.server.analyze(json.loads(body))
            answers.append((re.search(r"Content-ID: <(.+)>", outer), status, headers, json.dumps(answer)))
        if not self.path.startswith("/batch"):
            _, status, headers, answer = answers[0]
            return self._finish(fault, status, headers, answer.encode())
        if self.server.shuffle:
            answers.reverse()
        whole = "".join(
            f"--batch_x\r\nContent-Type: application/http\r\nContent-ID: <response-{number[1]}>\r\n\r\n"
            f"HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\n"
            + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            + f"\r\n{answer}\r\n"
            for number, status, headers, answer in answers
        )
        kind = {"Content-Type": "multipart/mixed; boundary=batch_x"}
        return self._finish(fault, 200, kind, (whole + "--batch_x--\r\n").encode())

    def _finish(self, fault, status, headers, content):
        if fault is None:
            return self._send(status, headers, content)
        if fault.kind == "truncate":  # less than Content-Length says
            self._send(status, headers, content, upto=len(content) * 2 // 3)
            self.close_connection = True
        elif fault.kind == "cut":  # a whole answer that lacks its end
            self._send(status, headers, content[: len(content) * 2 // 3])
        elif fault.kind == "garbage":
            self._send(status, headers, b"<html>" + b"\xff" * 50)
        elif fault.kind == "slow":
            self._send(status, headers, content, drip=fault.seconds)
        return None

    def _send(self, status, headers, content, upto=None, drip=0.0):
        self.send_response_only(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.flush()
        if drip:
            for place in range(0, len(content), max(1, len(content) // 20)):
                self.wfile.write(content[place : place + max(1, len(content) // 20)])
                self.wfile.flush()
                time.sleep(drip)
        else:
            self.wfile.write(content[:upto])
        self.wfile.flush()


if __name__ == "__main__":
    server = FakePerspective(latency=float(sys.argv[1]) if len(sys.argv) > 1 else 0.0)
    sys.stdout.write(server.url + "\n")
    sys.stdout.flush()
    server.serve_forever(poll_interval=0.05)
