"""One HTTP request with a secret key in a header, from which nothing that was raised or logged leads to the key.

The key is never part of a URL, of the arguments of a call into other code that could raise, or of an exception: what
goes wrong below is described in a line of text, and a new exception without context is raised. Requests are sent once:
no library underneath repeats them without the rate limiter knowing.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import httplib2
import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from ..errors import DetoxbenchError
from .rate_limit import RateLimiter
from .retry import Transient

KEY = f"key-{uuid.uuid4().hex}"
"""Stands for the key in headers and bodies until they are sent; no text that is scored can contain it."""

CONNECT_SECONDS, SILENT_SECONDS, WHOLE_SECONDS = 10.0, 60.0, 300.0
"""Limits on connecting, on a server that sends nothing, and on one request as a whole."""

_IN_URLS = re.compile(r"([?&](?:key|api_key|access_token)=)[^&\s\"'<>]+")


def _forms(key: str) -> set[str]:
    """How a server may write a key that it repeats: plain, quoted for a URL, escaped for JSON."""
    return {key, quote(key, safe=""), quote(key), key.replace("/", "\\/")}


def scrub(text: str, key: str | None = None) -> str:
    """The text without the key, in any form, and without any key in a URL."""
    for form in _forms(key) if key else ():
        text = text.replace(form, "***")
    return _IN_URLS.sub(r"\1***", text)


def key_from(variable: str) -> str | None:
    """The key in that environment variable, the only place where one is read from; None without one."""
    return os.environ.get(variable, "").strip() or None


def check_url(scorer: str, url: str) -> str:
    """The URL, with one slash at its end, if a key may be sent to it.

    Raises:
        DetoxbenchError: unless it is https, or http on this machine.
    """
    parts, kind = urlsplit(url), scorer.partition(":")[0]
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.username is not None or parts.query or parts.fragment:
        # The URL is part of the scorer's name, which is in every result; it is not repeated here either.
        raise DetoxbenchError(
            f"scorer '{kind}': give the URL without user, '?' and '#': keys come from the environment only"
        )
    if not parts.hostname or parts.scheme not in ("https", "http"):
        raise DetoxbenchError(f"scorer '{kind}': '{scrub(url)}' is not a URL such as https://host/v1")
    if parts.scheme == "http" and not local:
        raise DetoxbenchError(f"scorer '{kind}': '{scrub(url)}' would be sent in the clear: use https")
    return url.rstrip("/") + "/"


class _HeaderAuth(AuthBase):
    """Without an ``auth`` of its own, requests would put in the password of a ``.netrc``."""

    def __init__(self, headers: Mapping[str, str]):
        self.headers = headers

    def __call__(self, request: Any) -> Any:
        request.headers.update(self.headers)
        return request


class Transport:
    """An ``http`` object for googleapiclient, and for our own JSON requests. Not to be shared by threads.

    Args:
        key: the secret; None sends none.
        header: header that carries it.
        prefix: what precedes it there.
        limiter: takes ``cost`` tokens for each request; None takes none.
        stop: ends the wait for tokens.
    """

    def __init__(
        self,
        key: str | None,
        *,
        header: str = "x-goog-api-key",
        prefix: str = "",
        limiter: RateLimiter | None = None,
        stop: threading.Event | None = None,
        whole_seconds: float = WHOLE_SECONDS,
        silent_seconds: float = SILENT_SECONDS,
    ):
        if key is not None and not re.fullmatch(r"[!-~]+", key):
            raise DetoxbenchError(
                "the key in the environment variable is not one: it has spaces or other such characters"
            )
        self._key = key
        self._header = header
        self._prefix = prefix
        self._limiter = limiter
        self._stop = stop
        self._whole = whole_seconds
        self._timeout = (min(CONNECT_SECONDS, whole_seconds), min(silent_seconds, whole_seconds))
        self.cost = 1
        """Queries in the next request."""
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=0))

    def __repr__(self) -> str:
        return "Transport(key=***)"

    def close(self) -> None:
        self._session.close()

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **_: Any,
    ) -> tuple[httplib2.Response, bytes]:
        """Headers and content of the answer, whatever its status; redirects are not followed.

        Raises:
            Transient: if there was no whole answer.
        """
        data = body.encode("utf-8") if isinstance(body, str) else body
        problem = ""
        try:
            with self._limiter.take(self.cost, self._stop) if self._limiter else contextlib.nullcontext():
                return self._send(uri, method, data, {str(name): str(value) for name, value in (headers or {}).items()})
        except Exception as error:  # whatever the libraries below raise may hold the key in its arguments or frames
            problem = scrub(f"{type(error).__name__}: {error}", self._key)
        # Outside the handler, so that the new error has no context.
        raise Transient(f"broken connection ({problem[:300]})")

    def _send(
        self, uri: str, method: str, data: bytes | None, headers: dict[str, str]
    ) -> tuple[httplib2.Response, bytes]:
        deadline = time.monotonic() + self._whole
        headers = {
            name: value for name, value in headers.items() if name.lower() not in ("content-length", self._header)
        }
        secret = {self._header: self._prefix + self._key} if self._key else {}
        data = data.replace(KEY.encode(), (self._key or "").encode()) if data else data
        with self._session.request(
            method, uri, data=data, headers=headers, auth=_HeaderAuth(secret), stream=True,
            timeout=self._timeout, allow_redirects=False,
        ) as answer:  # fmt: skip
            content = bytearray()
            # One read of what is there at a time: a server that drips would otherwise hold us for ever.
            while chunk := answer.raw.read1(65536, decode_content=True):
                content += chunk
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no whole answer within {self._whole:g} s")
            whole = bytes(content)
            for form in _forms(self._key) if self._key else ():
                whole = whole.replace(form.encode(), b"***")  # what a server repeats goes no further
            fields = {name.lower(): scrub(value, self._key) for name, value in answer.headers.items()}
            response = httplib2.Response({**fields, "status": str(answer.status_code)})
            response.reason = scrub(answer.reason or "", self._key)
            return response, whole
