"""What a toxicity scorer is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ..errors import DetoxbenchError


@dataclass(frozen=True)
class Scores:
    """The scores of some texts.

    Args:
        values: attribute -> float64 ``[texts]``, higher is more of the attribute; NaN where a text has no score.
        reasons: ``[texts]`` why a text has no score, None where it has one.
        absent: attribute -> why no text has it, such as a language that it is not offered in; its values are all NaN
            and need no reason of their own. Never the first attribute.
        retry: ``[texts]`` True where the failure may pass, so that asking again can succeed; empty if none may.
    """

    values: Mapping[str, np.ndarray]
    reasons: Sequence[str | None]
    absent: Mapping[str, str] = field(default_factory=dict)
    retry: Sequence[bool] = ()

    def __post_init__(self) -> None:
        scored = np.array([reason is None for reason in self.reasons], dtype=bool)
        for attribute, values in self.values.items():
            if len(values) != len(self.reasons):
                raise ValueError(f"{attribute}: {len(values)} values for {len(self.reasons)} texts")
            if attribute not in self.absent and (np.isnan(values) & scored).any():
                raise ValueError(f"{attribute}: a NaN score without a reason")
        if len(self.retry) not in (0, len(self.reasons)):
            raise ValueError(f"retry has {len(self.retry)} places for {len(self.reasons)} texts")


Save = Callable[[Sequence[int], Scores], object]
"""Takes answers as they arrive: positions in the list of texts, and their scores. May be called from any thread."""

OnScored = Callable[[int], object]
"""Takes numbers of texts as they are finished."""

JUDGES = ("text", "whole", "response")
DIRECTIONS = ("higher", "lower")
HANDED_OVER = 1024
"""Texts that a scorer is given at a time where each answer is to be kept: what a kill can cost."""
REPORTED = 8192
"""Texts between two reports of progress."""


class Scorer(ABC):
    """A toxicity scorer. A text that cannot be scored gets NaN and a reason, never a number and no exception.

    Subclasses set ``name``, ``version`` and ``attributes``, write ``score``, and change what else is not as here.

    Attributes:
        name: how results call it, without any path or address: two machines must call it the same.
        version: whatever identifies the exact scores: weights' sha256, model revision, date of an API.
        attributes: what it scores; the first is the one that the metrics use.
        languages: BCP-47 primary subtags that it supports; None for any.
        direction: ``higher`` if a higher score is more of the attribute. Scores of a ``lower`` one, a share of what is
            fine, are turned into ``1 - score`` by ``load``, and the version says so.
        judges: ``text``, the continuation alone; ``whole``, the prompt with the continuation as one text; ``response``,
            the continuation as an answer to the prompt. What is not ``text`` is part of the version.
        former_names: names that it had in earlier archives, which are looked up too.
        dated: the version is the date of an API, so that an archive may hold another one.
        pinned: the version was asked for.
        durable: answers cost quota or money, so that ``load`` puts an archive in front unless told not to.
        composite: made of another scorer, which gets the archive in its place.
        all_at_once: wants all texts in one call, since it forms requests of them itself.
        card: what is known of it, as JSON has it: ``validity`` (language -> label set -> figures), ``sources`` that it
            was fitted on; empty where nothing is.
    """

    name: str
    version: str
    attributes: tuple[str, ...]
    languages: frozenset[str] | None = None
    direction: str = "higher"
    judges: str = "text"
    former_names: tuple[str, ...] = ()
    dated: bool = False
    pinned: bool = False
    durable: bool = False
    composite: bool = False
    all_at_once: bool = False
    card: Mapping[str, Any] = MappingProxyType({})

    @property
    def validity(self) -> Mapping[str, Any]:
        """Language -> label set -> figures against people's labels, on texts that it was not fitted on."""
        return self.card.get("validity", {})

    @classmethod
    def from_spec(cls, argument: str, **options: Any) -> Scorer:
        """Build from what follows the colon in ``name:argument``, and from keywords.

        Raises:
            DetoxbenchError: for an argument or option that it does not take.
        """
        if argument:
            raise DetoxbenchError(f"scorer '{cls.__name__}' takes no argument, given '{argument}'")
        return cls(**options)

    @abstractmethod
    def score(self, texts: Sequence[str], lang: str, prompts: Sequence[str] | None = None) -> Scores:
        """Scores of ``texts``, all in language ``lang``.

        Args:
            texts: ``[texts]``.
            lang: BCP-47 tag.
            prompts: ``[texts]`` what each text continues or answers; given to scorers that judge it only. An empty
                one is none.

        Raises:
            DetoxbenchError: for a language that is not supported, or if no text can be scored.
        """

    def score_each(self, texts: Sequence[str], lang: str, save: Save, prompts: Sequence[str] | None = None) -> None:
        """Like ``score``, but every answer is handed over as it arrives."""
        for start in range(0, len(texts), HANDED_OVER):
            part = slice(start, start + HANDED_OVER)
            scores = self.score(texts[part], lang, None if prompts is None else prompts[part])
            save(range(start, start + len(scores.reasons)), scores)

    def score_reporting(
        self, texts: Sequence[str], lang: str, on_scored: OnScored, prompts: Sequence[str] | None = None
    ) -> Scores:
        """Like ``score``, calling ``on_scored`` with numbers of finished texts as far as it knows them."""
        if self.all_at_once or len(texts) <= REPORTED:
            return self.score(texts, lang, prompts)
        parts = []
        for start in range(0, len(texts), REPORTED):
            part = slice(start, start + REPORTED)
            parts.append(self.score(texts[part], lang, None if prompts is None else prompts[part]))
            on_scored(len(parts[-1].reasons))
        return joined(parts)

    def ready(self) -> object:
        """Called before a long run.

        Raises:
            DetoxbenchError: if it cannot answer, for want of a key, an archive or a model.
        """
        return None

    def open(self) -> None:  # noqa: B027 - most have nothing to open
        """Open where answers are kept, so that a place that cannot be used is an error before any work."""

    def canonical(self, lang: str) -> str:
        """The language tag that scores are archived under."""
        return lang

    def attributes_for(self, lang: str) -> tuple[str, ...]:
        """The attributes that are asked for in that language, the first of ``attributes`` among them."""
        return self.attributes

    @property
    def missing(self) -> Mapping[tuple[str, bytes], str]:
        """(language, sha256) -> text, of all texts that were wanted from an archive alone and are not in it."""
        return {}

    @property
    def archived_in(self) -> Path | None:
        """The archive that answers come from; None without one."""
        return None

    def write_missing(self, path: Path | str) -> int:
        """Write ``missing`` as lines of JSON; how many is returned."""
        return 0


def joined(parts: Sequence[Scores]) -> Scores:
    """The scores of consecutive parts of a list of texts, at least one."""
    retry = any(part.retry for part in parts)
    return Scores(
        {name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values},
        [reason for part in parts for reason in part.reasons],
        parts[0].absent,
        [again for part in parts for again in (part.retry or [False] * len(part.reasons))] if retry else (),
    )


def unscored(attributes: Sequence[str], reason: str, texts: int, *, retry: bool = False) -> Scores:
    """NaN and that reason for all texts."""
    return Scores({name: np.full(texts, np.nan) for name in attributes}, [reason] * texts, retry=[retry] * texts)


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


def gathered(scorer: Scorer, texts: Sequence[str], lang: str, prompts: Sequence[str] | None = None) -> Scores:
    """``score`` of a scorer whose ``score_each`` does the work."""
    found = Gathered(scorer.attributes, len(texts))
    scorer.score_each(texts, lang, found.save, prompts)
    return found.scores()


def well_formed(text: str) -> str:
    """The text with U+FFFD in place of lone surrogates, which JSON can carry and tokenizers refuse."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def supports(scorer: Scorer, lang: str) -> bool:
    """Whether the scorer supports that BCP-47 tag, by its primary subtag."""
    return scorer.languages is None or lang.split("-")[0].lower() in scorer.languages


def check_language(scorer: Scorer, lang: str) -> None:
    """Refuse a language that the scorer does not support, before anything is scored.

    Raises:
        DetoxbenchError: naming the supported languages.
    """
    if not supports(scorer, lang):
        raise DetoxbenchError(
            f"scorer '{scorer.name}' does not support language '{lang}': it supports "
            f"{', '.join(sorted(scorer.languages or ()))}. Choose another scorer, or leave such texts unscored with "
            "on_unsupported=nan."
        )
