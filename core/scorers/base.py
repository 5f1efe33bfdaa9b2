"""What a toxicity scorer is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

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


class Scorer(Protocol):
    """A toxicity classifier. A text that cannot be scored gets NaN and a reason, never a number and no exception.

    Attributes:
        name: how the user asks for it, arguments included (``hf:some/model``).
        version: whatever identifies the exact scores: weights' sha256, model revision, date of an API.
        attributes: what it scores; the first is the one that the metrics use.
        languages: BCP-47 primary subtags that it supports; None for any.

    Optional, for those that need them:
        direction: ``higher`` (taken where it is left out) if a higher score is more of the attribute.
        dated: the version is the date of an API, so that an archive may hold another one.
        durable: answers cost quota or money, so that ``load`` puts an archive in front unless told not to.
        attributes_for(lang): the attributes that are asked for in that language.
        composite: made of another scorer, which gets the archive in its place.
        reports_progress: ``score`` takes ``on_scored``, to be called with numbers of finished texts.
        ready(): raises ``DetoxbenchError`` if it cannot answer, for want of a key; called before a long run.
        canonical(lang): the language tag that scores are archived under.
        score_each(texts, lang, save): like ``score``, but hands over every answer as it arrives, by
            ``save(places, scores)``, from any thread; ``places`` are positions in ``texts``.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def attributes(self) -> tuple[str, ...]: ...

    @property
    def languages(self) -> frozenset[str] | None: ...

    def score(self, texts: Sequence[str], lang: str) -> Scores:
        """Scores of ``texts``, all in language ``lang``."""
        ...


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
