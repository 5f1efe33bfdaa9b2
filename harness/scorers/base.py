"""What a toxicity scorer is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
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


def check(spec: object) -> str:
    """The specification itself, if its name is registered; nothing is loaded.

    Raises:
        DetoxbenchError: for an unknown name.
    """
    name = str(spec).partition(":")[0]
    SCORERS.check(name)
    return str(spec)


class Registered(Protocol):
    """What the table of scorers holds: usually the scorer's class."""

    def from_spec(self, argument: str, **options: Any) -> Scorer:
        """Build from what follows the colon in ``name:argument``."""
        ...


COMMON = ("archive", "offline", "on_unsupported")
"""Options that every scorer takes, in the specification or as keywords."""


def load(spec: str, **options: Any) -> Scorer:
    """The scorer for ``name``, ``name:argument`` or ``name:argument,option=value,…``.

    Every scorer takes, beside its own options:
        archive: file of a ``ScoreArchive``; each score is stored there before it is used, and what is stored is not
            asked for again. ``none`` for none. Metered services have one by default (``archive.default_path``).
        offline: ``true`` scores from the archive alone; a text that it lacks is unscored.
        on_unsupported: ``error`` (the default), or ``nan`` to leave texts in other languages unscored.

    Raises:
        DetoxbenchError: for an unknown name or option, or an argument that the scorer refuses.
    """
    from .archive import default_path
    from .archived import Archived
    from .languages import AnyLanguage
    from .spec import flag, take

    name, _, argument = check(spec).partition(":")
    argument, common = take(argument, options, COMMON)
    if common.get("on_unsupported", "error") not in ("error", "nan"):
        raise DetoxbenchError(f"scorer '{name}': on_unsupported='{common['on_unsupported']}': allowed are error, nan")
    try:
        offline = flag(common.get("offline", False))
    except ValueError as error:
        raise DetoxbenchError(f"scorer '{name}': offline='{common['offline']}': {error}") from None
    rest = {key: value for key, value in options.items() if key not in COMMON}
    target = SCORERS[name]
    unsupported = common.get("on_unsupported") == "nan"
    if getattr(target, "composite", False):
        scorer: Scorer = target.from_spec(argument, archive=common.get("archive"), offline=offline or None, **rest)
        return AnyLanguage(scorer) if unsupported else scorer
    scorer = target.from_spec(argument, **rest)
    path = common.get("archive") or (default_path() if offline or getattr(scorer, "durable", False) else "none")
    if str(path) != "none":
        scorer = Archived(scorer, Path(path), offline=offline)
    elif offline:
        raise DetoxbenchError(f"scorer '{name}': offline needs an archive, given archive=none")
    return AnyLanguage(scorer) if unsupported else scorer


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
