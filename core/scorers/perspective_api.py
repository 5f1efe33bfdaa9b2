"""Requests to the Perspective API by googleapiclient, one text or a batch at a time, and what its answers mean."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..errors import DetoxbenchError
from ..parsing import parse_json
from .base import well_formed
from .refusals import NO_TEXTS_FAULT, TEXT_ERRORS
from .retry import Transient, retry_after
from .transport import KEY, Transport, scrub

ENDPOINT = "https://commentanalyzer.googleapis.com/"
API = "v1alpha1"
MAX_BYTES = 20_480
"""Of a text in UTF-8."""

PRODUCTION = ("toxicity", "severe_toxicity", "identity_attack", "insult", "profanity", "threat")
"""Attributes in all languages."""

ENGLISH = (
    "sexually_explicit", "flirtation",
    "attack_on_author", "attack_on_commenter", "incoherent", "inflammatory", "likely_to_reject", "obscene", "spam",
    "unsubstantial",
)  # fmt: skip
"""Attributes in English only."""

LANGUAGES = frozenset("ar cs de en es fr hi id it ja ko nl pl pt ru sv zh".split())

OVER = "Perspective ends service on 31 December 2026; what is archived is scored with offline=true"
QUOTA_REASONS = ("ratelimitexceeded", "userratelimitexceeded", "quotaexceeded", "rate_limit_exceeded")
KEY_REASONS = ("API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED", "SERVICE_DISABLED", "API_KEY_EXPIRED")


def discovery(endpoint: str) -> dict[str, Any]:
    """The part of the API's discovery document that is used here, so that none has to be fetched."""
    message = {"type": "object", "properties": {}}
    analyze = {
        "id": "commentanalyzer.comments.analyze",
        "path": f"{API}/comments:analyze",
        "httpMethod": "POST",
        "request": {"$ref": "Message"},
        "response": {"$ref": "Message"},
    }
    return {
        "name": "commentanalyzer",
        "version": API,
        "rootUrl": endpoint,
        "servicePath": "",
        "batchPath": "batch",
        "schemas": {"Message": {"id": "Message", **message}},
        "resources": {"comments": {"methods": {"analyze": analyze}}},
    }


def request_body(text: str, lang: str, attributes: Sequence[str]) -> dict[str, Any]:
    """An AnalyzeComment request, which the service is asked not to keep."""
    return {
        "comment": {"text": well_formed(text), "type": "PLAIN_TEXT"},
        "languages": [lang],
        "requestedAttributes": {attribute.upper(): {} for attribute in attributes},
        "doNotStore": True,
    }


@dataclass(frozen=True)
class Answer:
    """What the service says of one text: scores, or a reason why there are none.

    Attributes:
        again: it is no refusal of this very text, so that another run asks again.
    """

    scores: Mapping[str, float] | None
    reason: str | None = None
    again: bool = False


class RefusedError(DetoxbenchError):
    """The service refuses all texts, such as for a wrong key."""


def summary_scores(response: Mapping[str, Any]) -> dict[str, float]:
    """Attribute in lower case -> summary score of an AnalyzeComment response.

    Raises:
        ValueError: for a response without scores, or with one that is not a probability.
    """
    try:
        scores = {
            name.lower(): float(entry["summaryScore"]["value"])
            for name, entry in response["attributeScores"].items()
            if entry is not None  # columnar files have a place for every attribute
        }
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"no summary scores ({type(error).__name__})") from None
    for name, score in scores.items():
        if not (math.isfinite(score) and 0 <= score <= 1):
            raise ValueError(f"{name} is {score}, which is no probability")
    return scores


def read(status: int, headers: Mapping[str, str], content: bytes, attributes: Sequence[str]) -> Answer:
    """What an answer means.

    Only an error type that is of the text itself is an answer for good; a bare status never is: a proxy, a captive
    portal or the end of the API give those.

    Raises:
        Transient: if asking again may help: 408, 429, 5xx, an exhausted quota, an answer that cannot be read.
        RefusedError: if it is no text's fault: a wrong key, a redirect, a path or method that there is not.
    """
    try:
        body = parse_json(content)
    except ValueError:
        body = None
    if status == 200:
        try:
            scores = summary_scores(body)  # type: ignore[arg-type]
            return Answer({attribute: scores[attribute] for attribute in attributes})
        except (ValueError, KeyError, TypeError) as error:
            raise Transient(f"the answer could not be read ({scrub(str(error))})") from None
    reason, names = _describe(status, body)
    if status in (408, 429) or (status >= 500 and status not in NO_TEXTS_FAULT):
        raise Transient(reason, retry_after(headers))
    if status == 403 and any(name.lower() in QUOTA_REASONS for name in names):
        raise Transient(reason, retry_after(headers))
    if status in NO_TEXTS_FAULT or 300 <= status < 400 or any(name in KEY_REASONS for name in names):
        raise RefusedError(
            f"Perspective refuses all requests: {reason}. Check the connection, and that PERSPECTIVE_API_KEY is a key "
            f"of a project in which the API is enabled. ({OVER}.)"
        )
    return Answer(None, reason, again=not (status == 400 and names and names[0] in TEXT_ERRORS))


def _describe(status: int, body: Any) -> tuple[str, list[str]]:
    """The API's error type and message in a line, and all names that the error carries."""
    error = body.get("error") if isinstance(body, dict) else None
    error = error if isinstance(error, dict) else {}
    lists = [found for name in ("details", "errors") if isinstance(found := error.get(name), list)]
    details = [detail for found in lists for detail in found if isinstance(detail, dict)]
    kinds = [str(detail["errorType"]) for detail in details if detail.get("errorType")]
    names = kinds + [str(detail["reason"]) for detail in details if detail.get("reason")]
    kind = (names or [str(error.get("status") or f"HTTP {status}")])[0]
    message = str(error.get("message") or "").strip()
    return scrub(f"{kind}: {message}" if message else kind)[:500], names


def connect(endpoint: str = ENDPOINT) -> Any:
    """The service object of googleapiclient, without a connection of its own: threads may share it."""
    from googleapiclient.discovery import build_from_document

    return build_from_document(discovery(endpoint), http=Transport(None), client_options={"api_endpoint": endpoint})


class Client:
    """Sends requests, one thread at a time.

    Args:
        service: from ``connect``.
        transport: sends HTTP with the key; its ``cost`` is set to the number of queries.
    """

    def __init__(self, service: Any, transport: Transport):
        self._service = service
        self._comments = service.comments()
        self._transport = transport

    def ask(self, texts: Sequence[str], lang: str, attributes: Sequence[str]) -> list[Answer | Transient]:
        """The answers to texts, in order; where one may be asked again, why.

        Raises:
            Transient: if there was no answer at all.
            RefusedError: if no text will ever be answered.
        """
        self._transport.cost = len(texts)
        received = self._batch(texts, lang, attributes) if len(texts) > 1 else self._single(texts[0], lang, attributes)
        answers: list[Answer | Transient] = []
        for place in range(len(texts)):
            if place not in received:
                answers.append(Transient("the answer to a batch lacks this text"))
                continue
            headers, content = received[place]
            try:
                answers.append(read(int(headers["status"]), headers, content, attributes))
            except Transient as error:
                answers.append(error)
        return answers

    def _request(self, text: str, lang: str, attributes: Sequence[str]) -> Any:
        request = self._comments.analyze(body=request_body(text, lang, attributes))
        # Answers are read by us: what googleapiclient raises over one part would lose the others.
        request.postproc = lambda headers, content: (headers, content)
        return request

    def _single(self, text: str, lang: str, attributes: Sequence[str]) -> dict[int, Any]:
        from googleapiclient.errors import HttpError

        try:
            return {0: self._request(text, lang, attributes).execute(http=self._transport)}
        except HttpError as error:
            return {0: (error.resp, error.content)}

    def _one_by_one(self, texts: Sequence[str], lang: str, attributes: Sequence[str]) -> dict[int, Any]:
        """For a batch that is refused: too large, or spoilt by one of its texts."""
        self._transport.cost = 1
        received: dict[int, Any] = {}
        for place, text in enumerate(texts):
            with contextlib.suppress(Transient):  # it is asked for again with those that are not received
                received[place] = self._single(text, lang, attributes)[0]
        return received

    def _batch(self, texts: Sequence[str], lang: str, attributes: Sequence[str]) -> dict[int, Any]:
        from googleapiclient.errors import HttpError

        received: dict[int, Any] = {}

        def arrived(place: int, _: str, response: Any, exception: Any) -> None:
            received[place] = (exception.resp, exception.content) if exception is not None else response

        batch = self._service.new_batch_http_request()
        for place, text in enumerate(texts):
            request = self._request(text, lang, attributes)
            request.headers["x-goog-api-key"] = KEY  # the transport puts the key in
            batch.add(request, callback=partial(arrived, place), request_id=str(place))
        try:
            batch.execute(http=self._transport)
        except HttpError as error:
            # The batch as a whole failed: that is not what the API thinks of any text.
            read(int(error.resp.status), error.resp, error.content, attributes)
            return self._one_by_one(texts, lang, attributes)
        except Transient:
            raise
        except Exception:
            # Parts are missing, cut off or garbled, and the parser stopped at the first of them. Keep what it had read.
            for name, part in getattr(batch, "_responses", {}).items():
                if str(name).isdigit():
                    received.setdefault(int(name), part)
            if not received:
                raise Transient("the answer to a batch could not be read") from None
        return received
