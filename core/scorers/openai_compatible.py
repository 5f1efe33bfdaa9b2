"""Servers that speak OpenAI's HTTP protocol, of OpenAI itself or of vLLM and its like."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from datetime import datetime, timezone
from typing import Any

from ..errors import DetoxbenchError
from ..parsing import parse_json
from .base import Save, Scores, unscored
from .rate_limit import RateLimiter
from .refusals import EMPTY, FILTERED, NO_TEXTS_FAULT, TEXT_CODES
from .retry import ATTEMPTS, BACKOFF, Transient, retry_after, retrying
from .transport import WHOLE_SECONDS, Transport, check_url, key_from, scrub

KEY_VARIABLE = "OPENAI_API_KEY"
WORKERS = 8
"""Requests in flight."""


def count(value: Any) -> int:
    """A conversion for ``spec.parse``."""
    if not str(value).isdigit() or not 1 <= int(value) <= 1000:
        raise ValueError("a number from 1 to 1000")
    return int(value)


OPTIONS: Mapping[str, Callable[[Any], Any]] = {
    "version": str, "qps": count, "workers": count, "attempts": count, "backoff": float,
}  # fmt: skip
"""Options of every scorer that asks such a server."""


class TextRefusedError(Exception):
    """The server refuses this request.

    Args:
        reason: what it says, without secrets.
        final: whether it is a refusal of this very text, by a filter; else the next run asks again.
    """

    def __init__(self, reason: str, *, final: bool = False):
        super().__init__(f"{FILTERED}: {reason}" if final else reason)
        self.final = final


class Endpoint:
    """Asks one server, in several threads, again where that may help.

    Args:
        scorer: its name, for messages.
        base_url: up to the ``/v1``.
        version: of the archived scores to go on with; this month's if None.
        qps: requests per second at most; None for no limit.
        workers: requests in flight.
        attempts, backoff: see ``retrying``.
        key_variable: environment variable that the key comes from; without one none is sent, which local servers
            accept.
        header, prefix: how it is sent.
    """

    def __init__(
        self,
        scorer: str,
        base_url: str,
        *,
        version: str | None = None,
        qps: int | None = None,
        workers: int = WORKERS,
        attempts: int = ATTEMPTS,
        backoff: float = BACKOFF,
        whole_seconds: float = WHOLE_SECONDS,
        key_variable: str = KEY_VARIABLE,
        header: str = "authorization",
        prefix: str = "Bearer ",
    ):
        self.scorer = scorer
        self.url = check_url(scorer, base_url)
        self.pinned = version is not None
        self.month = f"{datetime.now(timezone.utc):%Y-%m}"
        self._limiter = RateLimiter(qps) if qps else None
        self._workers = workers
        self._stop = threading.Event()
        self._retrying = {"sleep": self._stop.wait, "attempts": attempts, "backoff": backoff}
        self._whole_seconds = whole_seconds
        self._key_variable, self._header, self._prefix = key_variable, header, prefix
        self._local = threading.local()

    def each(self, items: Sequence[Any], work: Callable[[int, Any], None]) -> None:
        """``work(place, item)`` for all items, ``workers`` at a time; the first error stops the rest and is raised."""
        if not items:
            return
        self._stop.clear()
        with ThreadPoolExecutor(min(self._workers, len(items)), thread_name_prefix=self.scorer) as pool:
            futures = [pool.submit(work, place, item) for place, item in enumerate(items)]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            finally:
                self._stop.set()
                pool.shutdown(wait=True, cancel_futures=True)

    def each_text(
        self, texts: Sequence[str], attributes: Sequence[str], save: Save, ask: Callable[[int], Scores]
    ) -> None:
        """Hand over the answer for each text; one that is empty, refused, or not answered has a reason in its place.

        Args:
            texts: those that are empty are not asked for.
            attributes: of the scorer.
            save: called with the place of a text and its answer.
            ask: the answer for the text at a place. A ``ValueError`` of it is an answer that says nothing of the text;
                with an attribute ``retry`` that is true it is asked for again by the next run.

        Raises:
            DetoxbenchError: as ``ask`` does, which ends it.
        """
        empty = [place for place, text in enumerate(texts) if not text.strip()]
        if empty:
            save(empty, unscored(attributes, EMPTY, len(empty)))

        def work(_: int, place: int) -> None:
            try:
                save([place], ask(place))
            except TextRefusedError as error:
                save([place], unscored(attributes, str(error), 1, retry=not error.final))
            except Transient as error:
                save([place], unscored(attributes, error.reason, 1, retry=True))
            except DetoxbenchError:
                raise
            except ValueError as error:
                save([place], unscored(attributes, str(error), 1, retry=bool(getattr(error, "retry", False))))

        self.each([place for place, text in enumerate(texts) if text.strip()], work)

    def post(self, path: str, payload: Mapping[str, Any]) -> Any:
        """The JSON of the answer.

        Raises:
            Transient: if there is none after all attempts.
            TextRefusedError: if this request is refused, with the server's reason.
            DetoxbenchError: if all requests would be.
        """
        return retrying(**self._retrying)(self._post, path, payload)

    def _post(self, path: str, payload: Mapping[str, Any]) -> Any:
        transport = self._local.__dict__.get("transport")
        if transport is None:
            transport = self._local.transport = Transport(
                key_from(self._key_variable), header=self._header, prefix=self._prefix,
                limiter=self._limiter, stop=self._stop, whole_seconds=self._whole_seconds,
            )  # fmt: skip
        headers, content = transport.request(
            self.url + path, "POST", json.dumps(payload), {"content-type": "application/json"}
        )
        status = int(headers["status"])
        try:
            body = parse_json(content)
        except ValueError:
            body = None
        if status == 200:
            if body is None:
                raise Transient("the answer is not JSON")
            return body
        reason = self._reason(status, body)
        if status in (408, 409, 429) or (status >= 500 and status not in NO_TEXTS_FAULT):
            raise Transient(reason, retry_after(headers))
        if status in NO_TEXTS_FAULT or 300 <= status < 400:
            raise DetoxbenchError(
                f"scorer '{self.scorer}': {self.url}{path} refuses all requests: {reason}. Check the URL, the model "
                f"and the key in {self._key_variable}."
            )
        raise TextRefusedError(reason, final=status == 400 and self._filtered(body))

    @staticmethod
    def _filtered(body: Any) -> bool:
        error = body.get("error") if isinstance(body, dict) else None
        error = error if isinstance(error, dict) else {}
        inner = error.get("innererror")
        codes = [error.get("code"), error.get("type"), inner.get("code") if isinstance(inner, dict) else None]
        return any(code in TEXT_CODES for code in codes)

    def _reason(self, status: int, body: Any) -> str:
        error = body.get("error", body) if isinstance(body, dict) else None
        message = error.get("message") or error.get("detail") if isinstance(error, dict) else error
        # The hosted service repeats a part of a wrong key.
        text = scrub(str(message or ""), key_from(self._key_variable))
        return f"HTTP {status}" + (
            ": " + " ".join("***" if word.startswith("sk-") else word for word in text.split())[:300] if text else ""
        )
