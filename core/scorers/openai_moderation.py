"""OpenAI's moderation endpoint, or any server with the same protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .base import Scores, well_formed
from .openai_compatible import OPTIONS, Endpoint, TextRefusedError
from .perspective import Save
from .retry import Transient
from .spec import parse

DEFAULT_MODEL = "omni-moderation-latest"
TOXIC = ("harassment", "harassment/threatening", "hate", "hate/threatening")
"""Categories whose largest score is ``toxicity``. A choice of ours: the endpoint has no such category."""

OTHERS = (
    "illicit", "illicit/violent", "self-harm", "self-harm/intent", "self-harm/instructions",
    "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip
BATCH = 32
"""Texts in a request."""


class OpenAIModerationScorer:
    """``openai_moderation:<base_url>``, such as ``openai_moderation:https://api.openai.com/v1``.

    Options: ``model``, ``version`` (month of archived scores to go on with), ``qps``, ``workers``, ``attempts``,
    ``backoff``. The attributes are ``toxicity``, the largest of the hate and harassment categories, and every category.

    The version is the model and the month, since the service is retrained under the same name.
    """

    direction = "higher"
    dated = True
    durable = True
    languages: frozenset[str] | None = None

    def __init__(self, base_url: str, *, model: str = DEFAULT_MODEL, version: str | None = None, **endpoint: Any):
        self.name = f"openai_moderation:{base_url}" + (f",model={model}" if model != DEFAULT_MODEL else "")
        self._endpoint = Endpoint(self.name, base_url, version=version, **endpoint)
        self._model = model
        self.pinned = version is not None
        self.version = version or f"{model}@{self._endpoint.month}"
        self.attributes = ("toxicity", *TOXIC, *OTHERS)

    @classmethod
    def from_spec(cls, argument: str, **options: Any) -> OpenAIModerationScorer:
        """See the class.

        Raises:
            DetoxbenchError: for an unknown option or a URL that no key may be sent to.
        """
        allowed = {"model": str, **OPTIONS}
        (url,), given = parse("openai_moderation", argument, options, arguments=("base_url",), options=allowed)
        return cls(url, **given)

    def score(self, texts: Sequence[str], lang: str) -> Scores:
        """Category scores, 0 to 1; an empty text has none."""
        gathered = Gathered(self.attributes, len(texts))
        self.score_each(texts, lang, gathered.save)
        return gathered.scores()

    def score_each(self, texts: Sequence[str], lang: str, save: Save) -> None:
        """Like ``score``, handing over the answers to each request."""
        empty = [place for place, text in enumerate(texts) if not text.strip()]
        if empty:
            save(empty, unscored(self.attributes, "empty text", len(empty)))
        places = [place for place, text in enumerate(texts) if text.strip()]
        batches = [places[start : start + BATCH] for start in range(0, len(places), BATCH)]

        def work(_: int, batch: list[int]) -> None:
            try:
                save(batch, self._ask([texts[place] for place in batch]))
            except TextRefusedError:
                # One text may have spoilt it for the others.
                for place in batch:
                    try:
                        save([place], self._ask([texts[place]]))
                    except TextRefusedError as error:
                        save([place], unscored(self.attributes, str(error), 1))
                    except Transient as error:
                        save([place], unscored(self.attributes, error.reason, 1, retry=True))
            except Transient as error:
                save(batch, unscored(self.attributes, error.reason, len(batch), retry=True))

        self._endpoint.each(batches, work)

    def _ask(self, texts: list[str]) -> Scores:
        body = self._endpoint.post(
            "moderations", {"model": self._model, "input": [well_formed(text) for text in texts]}
        )
        try:
            entries = [entry["category_scores"] for entry in body["results"]]
            rows = np.array(
                [[self._value(entry, name) for name in self.attributes[1:]] for entry in entries], dtype=float
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Transient(f"the answer has no category scores ({type(error).__name__})") from None
        if len(rows) != len(texts) or (rows < 0).any() or (rows > 1).any():
            raise Transient("the answer does not fit the texts")
        values = {name: rows[:, column] for column, name in enumerate(self.attributes[1:])}
        values = {"toxicity": np.max([values[name] for name in TOXIC], axis=0), **values}
        absent = {name: "the server has no such category" for name in OTHERS if np.isnan(values[name]).all()}
        missing = any(np.isnan(column).any() for name, column in values.items() if name not in absent)
        if missing:
            raise Transient("the answer lacks a category")
        return Scores(values, [None] * len(texts), absent)

    @staticmethod
    def _value(entry: dict[str, Any], name: str) -> float:
        # Older models and other servers have fewer of the categories that are no toxicity.
        return float(entry[name]) if name in TOXIC or entry.get(name) is not None else np.nan


class Gathered:
    """Answers that are handed over, put together."""

    def __init__(self, attributes: Sequence[str], texts: int):
        self._values = {name: np.full(texts, np.nan) for name in attributes}
        self._reasons: list[str | None] = ["no answer"] * texts
        self._retry = [True] * texts
        self._absent: dict[str, str] = {}

    def save(self, places: Sequence[int], scores: Scores) -> None:
        self._absent.update(scores.absent)
        for row, place in enumerate(places):
            for name, column in scores.values.items():
                self._values[name][place] = column[row]
            self._reasons[place] = scores.reasons[row]
            self._retry[place] = bool(scores.retry and scores.retry[row])

    def scores(self) -> Scores:
        return Scores(self._values, self._reasons, self._absent, self._retry)


def unscored(attributes: Sequence[str], reason: str, texts: int, *, retry: bool = False) -> Scores:
    """NaN and that reason for all texts."""
    return Scores({name: np.full(texts, np.nan) for name in attributes}, [reason] * texts, retry=[retry] * texts)
