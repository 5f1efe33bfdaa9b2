"""What a toxicity scorer is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..errors import DetoxbenchError
from ..registry import SCORERS


@dataclass(frozen=True)
class Scores:
    """The scores of some texts.

    Args:
        values: attribute -> float64 ``[texts]``, higher is more of the attribute; NaN where a text has no score.
        reasons: ``[texts]`` why a text has no score, None where it has one.
    """

    values: Mapping[str, np.ndarray]
    reasons: Sequence[str | None]

    def __post_init__(self) -> None:
        for attribute, values in self.values.items():
            if len(values) != len(self.reasons):
                raise ValueError(f"{attribute}: {len(values)} values for {len(self.reasons)} texts")
            for value, reason in zip(values, self.reasons, strict=True):
                if np.isnan(value) and reason is None:
                    raise ValueError(f"{attribute}: a NaN score without a reason")


class Scorer(Protocol):
    """A toxicity classifier. A text that cannot be scored gets NaN and a reason, never a number and no exception.

    Attributes:
        name: how the user asks for it, arguments included (``hf:some/model``).
        version: whatever identifies the exact scores: weights' sha256, model revision, date of an API.
        attributes: what it scores; the first is the one that the metrics use.
        languages: BCP-47 primary subtags that it supports; None for any.
    """

    name: str
    version: str
    attributes: tuple[str, ...]
    languages: frozenset[str] | None

    @classmethod
    def from_spec(cls, argument: str, **options: Any) -> Scorer:
        """Build from what follows the colon in ``name:argument``."""
        ...

    def score(self, texts: Sequence[str], lang: str) -> Scores:
        """Scores of ``texts``, all in language ``lang``."""
        ...


def check(spec: object) -> str:
    """The specification itself, if its name is registered; nothing is loaded.

    Raises:
        DetoxbenchError: for an unknown name.
    """
    name = str(spec).partition(":")[0]
    SCORERS.check(name)
    return str(spec)


def load(spec: str, **options: Any) -> Scorer:
    """The scorer for ``name`` or ``name:argument``.

    Raises:
        DetoxbenchError: for an unknown name or an argument that the scorer refuses.
    """
    name, _, argument = check(spec).partition(":")
    return SCORERS[name].from_spec(argument, **options)


def check_language(scorer: Scorer, lang: str) -> None:
    """Refuse a language that the scorer does not support, before anything is scored.

    Raises:
        DetoxbenchError: naming the supported languages.
    """
    if scorer.languages is not None and lang.split("-")[0] not in scorer.languages:
        raise DetoxbenchError(
            f"scorer '{scorer.name}' does not support language '{lang}': it supports "
            f"{', '.join(sorted(scorer.languages))}. Choose another with --metadata '{{\"scorer\": …}}'."
        )
