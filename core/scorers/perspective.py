"""Google's Perspective API, the scorer that the field's published numbers rest on. It ends on 31 December 2026."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from datetime import datetime, timezone
from typing import Any

import numpy as np

from ..errors import DetoxbenchError, unknown
from . import perspective_api as api
from .base import Save, Scorer, Scores, check_language, gathered
from .rate_limit import RateLimiter
from .retry import ATTEMPTS, BACKOFF, Transient, retrying
from .spec import parse
from .transport import WHOLE_SECONDS, Transport, check_url, key_from

KEY_VARIABLE = "PERSPECTIVE_API_KEY"
DEFAULT_ATTRIBUTES = (*api.PRODUCTION, "sexually_explicit", "flirtation")
"""Those of RealToxicityPrompts and of the published systems; the last two in English only."""

WORKERS = 20
"""Requests in flight at most: ten a second are sent, so that answers may take two seconds."""

GIVE_UP = 3
"""Batches in a row that failed after all attempts, after which the rest is not asked for."""


def _attributes(value: Any) -> tuple[str, ...]:
    names = value.split("+") if isinstance(value, str) else list(value)
    chosen = tuple(dict.fromkeys(name.strip().lower() for name in names))
    if chosen == ("all",):
        return (*api.PRODUCTION, *api.ENGLISH)
    for name in chosen:
        if name not in (*api.PRODUCTION, *api.ENGLISH):
            raise unknown(
                "attribute of Perspective", name, ("all", *api.PRODUCTION, *api.ENGLISH), "Join them with '+'."
            )
    return chosen


def _qps(value: Any) -> int:
    if not str(value).isdigit() or not 1 <= int(value) <= 1000:
        raise ValueError("queries per second from 1 to 1000, as the quota of your project says")
    return int(value)


class PerspectiveScorer(Scorer):
    """``perspective``, ``perspective:qps=10,attributes=toxicity+insult,version=v1alpha1@2026-03``.

    Perspective's models change without notice and without version numbers, so the version is the API's and the month
    that it answered in. A run that goes on in the next month scores what is missing under that month; ``version``
    names an earlier one, to complete or to reproduce it from the archive.

    Args:
        attributes: in lower case; the first is the one that metrics use. ``all`` for every one.
        qps: quota of the project in queries per second, 1 to 1,000. Google's default is 1.
        version: of the archived scores to go on with; this month's if None.
        endpoint: root URL of the service.
        limiter, sleep, attempts, backoff, whole_seconds: see ``RateLimiter``, ``retrying`` and ``Transport``.

    The key comes from the environment variable ``PERSPECTIVE_API_KEY`` and from nowhere else, when the first text is
    sent.
    """

    name = "perspective"
    dated = True
    durable = True
    all_at_once = True
    languages = api.LANGUAGES

    def __init__(
        self,
        attributes: Sequence[str] = DEFAULT_ATTRIBUTES,
        *,
        qps: int = 1,
        version: str | None = None,
        endpoint: str = api.ENDPOINT,
        limiter: RateLimiter | None = None,
        sleep: Callable[[float], None] | None = None,
        attempts: int = ATTEMPTS,
        backoff: float = BACKOFF,
        whole_seconds: float = WHOLE_SECONDS,
    ):
        self.attributes = _attributes(attributes)
        self.pinned = version is not None
        self.version = version or f"{api.API}@{datetime.now(timezone.utc):%Y-%m}"
        self.limiter = limiter or RateLimiter(_qps(qps))
        self._endpoint = check_url(self.name, endpoint)
        self._stop = threading.Event()
        # A wait ends at once when all is to stop.
        self._retrying = {"sleep": sleep or self._stop.wait, "attempts": attempts, "backoff": backoff}
        self._whole_seconds = whole_seconds
        self._failures = 0
        self._lock = threading.Lock()

    @classmethod
    def from_spec(cls, argument: str, **options: Any) -> PerspectiveScorer:
        """See the class.

        Raises:
            DetoxbenchError: for an unknown option or attribute, or a quota out of range.
        """
        allowed = {
            "attributes": _attributes,
            "qps": _qps,
            "version": str,
            "endpoint": str,
            "attempts": int,
            "backoff": float,
        }
        _, given = parse(cls.name, argument, options, options=allowed)
        return cls(**given)

    def canonical(self, lang: str) -> str:
        """What the API is given and scores are archived under: ``zh-Hans`` is ``zh``; Hinglish keeps its script."""
        return "hi-Latn" if lang.lower() == "hi-latn" else lang.split("-")[0].lower()

    def attributes_for(self, lang: str) -> tuple[str, ...]:
        """Those of ``attributes`` that the API offers in the language.

        Raises:
            DetoxbenchError: if the first is not: it is the one that metrics use.
        """
        chosen = tuple(name for name in self.attributes if name in api.PRODUCTION or self.canonical(lang) == "en")
        if chosen[:1] != self.attributes[:1]:
            raise DetoxbenchError(
                f"scorer 'perspective': '{self.attributes[0]}' is offered in English only, given '{lang}': "
                f"put one of {', '.join(api.PRODUCTION)} first"
            )
        return chosen

    def ready(self) -> str:
        """The key.

        Raises:
            DetoxbenchError: if there is none.
        """
        key = key_from(KEY_VARIABLE)
        if key is None:
            raise DetoxbenchError(
                f"scorer 'perspective' needs a key in the environment variable {KEY_VARIABLE}. ({api.OVER}.)"
            )
        return key

    def score(self, texts: Sequence[str], lang: str, prompts: Sequence[str] | None = None) -> Scores:
        """Scores of texts; each distinct text is sent once.

        Raises:
            DetoxbenchError: for a language that is not supported, before anything is sent; without a key; if the
                service refuses all requests.
        """
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        found, order = gathered(self, list(places), lang), [places[text] for text in texts]
        return Scores(
            {name: column[order] for name, column in found.values.items()},
            [found.reasons[place] for place in order],
            self._absent(lang),
            [found.retry[place] for place in order],
        )

    def score_each(self, texts: Sequence[str], lang: str, save: Save, prompts: Sequence[str] | None = None) -> None:
        """Like ``score``, handing over the answers to each request in the thread that received them."""
        check_language(self, lang)
        attributes, tag = self.attributes_for(lang), self.canonical(lang)
        refused = {place: reason for place, text in enumerate(texts) if (reason := unsendable(text))}
        if refused:
            save(
                list(refused), self._scores(attributes, lang, [api.Answer(None, reason) for reason in refused.values()])
            )
        places = [place for place in range(len(texts)) if place not in refused]
        if not places:
            return
        key = self.ready()
        service = api.connect(self._endpoint)  # imported before there are threads
        self._stop.clear()
        self._failures = 0
        size = self.limiter.batch()
        batches = [places[start : start + size] for start in range(0, len(places), size)]
        clients = threading.local()

        def work(batch: list[int]) -> None:
            client = clients.__dict__.get("client")
            if client is None:
                transport = Transport(key, limiter=self.limiter, stop=self._stop, whole_seconds=self._whole_seconds)
                client = clients.client = api.Client(service, transport)
            self._answer(client, {place: texts[place] for place in batch}, tag, attributes, lang, save)

        workers = min(WORKERS, 2 * self.limiter.qps, len(batches))
        with ThreadPoolExecutor(workers, thread_name_prefix="perspective") as pool:
            futures = [pool.submit(work, batch) for batch in batches]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            finally:
                self._stop.set()
                pool.shutdown(wait=True, cancel_futures=True)

    def _answer(
        self, client: api.Client, pending: dict[int, str], tag: str, attributes: Sequence[str], lang: str, save: Save
    ) -> None:
        """Ask until all of a batch is answered or its attempts are used up, saving what comes at each of them."""

        def attempt() -> None:
            if self._stop.is_set() or self._failures >= GIVE_UP:
                return
            places = list(pending)
            answers = client.ask([pending[place] for place in places], tag, attributes)
            final = [
                (place, answer) for place, answer in zip(places, answers, strict=True) if isinstance(answer, api.Answer)
            ]
            if final:
                save([place for place, _ in final], self._scores(attributes, lang, [answer for _, answer in final]))
                self._failures = 0
            for place, _ in final:
                del pending[place]
            again = [answer for answer in answers if isinstance(answer, Transient)]
            if again:
                asked = [error.retry_after for error in again if error.retry_after is not None]
                raise Transient(again[0].reason, max(asked, default=None))

        def attempt_together() -> None:
            try:
                attempt()
            except Transient as error:
                if error.retry_after:
                    self.limiter.pause(error.retry_after)  # the service asks all of us
                raise

        reason = "not asked for: the service does not answer"
        try:
            retrying(**self._retrying)(attempt_together)
        except Transient as error:
            reason = f"{error.reason} (after {self._retrying['attempts']} attempts)"
            with self._lock:
                self._failures += 1
        if pending and not self._stop.is_set():
            failed = [api.Answer(None, reason, again=True)] * len(pending)
            save(list(pending), self._scores(attributes, lang, failed))

    def _scores(self, attributes: Sequence[str], lang: str, answers: Sequence[api.Answer]) -> Scores:
        values = {name: np.full(len(answers), np.nan) for name in self.attributes}
        for row, answer in enumerate(answers):
            for name in attributes if answer.scores is not None else ():
                values[name][row] = (answer.scores or {})[name]
        reasons = [answer.reason for answer in answers]
        return Scores(values, reasons, self._absent(lang), [answer.again for answer in answers])

    def _absent(self, lang: str) -> Mapping[str, str]:
        offered = self.attributes_for(lang)
        return {name: "Perspective offers it in English only" for name in self.attributes if name not in offered}


def unsendable(text: str) -> str | None:
    """The API's reason for refusing a text, where it is known without asking; None to ask."""
    if not text:
        return "COMMENT_EMPTY: Comment must be non-empty."
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > api.MAX_BYTES:
        return f"COMMENT_TOO_LONG: Comment text too long: {size:,} bytes, at most {api.MAX_BYTES:,}."
    return None
