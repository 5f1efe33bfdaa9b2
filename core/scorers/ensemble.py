"""``mean:A+B+C``: the mean of several scorers, best of calibrated ones, whose numbers mean the same."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DetoxbenchError
from ..files import write_lines
from ..registry import SCORERS
from . import loading
from .base import Scorer, Scores, check_language
from .presets import names
from .spec import take

ATTRIBUTE = "toxicity"


def members_of(argument: str) -> list[str]:
    """The specifications between plus signs; only a plus before a scorer's name divides.

    >>> members_of("mini+hf:some/model,label=max+granite-hap-38m")
    ['mini', 'hf:some/model,label=max', 'granite-hap-38m']
    >>> members_of("perspective:attributes=toxicity+insult+mini")
    ['perspective:attributes=toxicity+insult', 'mini']
    """
    known = "|".join(re.escape(name) for name in sorted({*SCORERS, *names()}, key=len, reverse=True))
    return re.split(rf"\+(?=(?:{known})(?:[:,+]|$))", argument)


class MeanScorer(Scorer):
    """``mean:<scorer>+<scorer>+…``: the mean of the first attributes of several scorers.

    Members are written as anywhere else; those of one ensemble should score on one scale, as ``calibrated:`` ones do.
    Its languages are those that all members support. A text that a member cannot score has no score, unless
    ``least=<n>``: then the mean of at least so many members. The version is that of all members.

    Raises:
        DetoxbenchError: for fewer than two members, two that are the same, or a ``least`` that they cannot reach.
    """

    attributes = (ATTRIBUTE,)
    composite = True

    def __init__(self, members: Sequence[Scorer], *, least: int | None = None):
        self.members = tuple(members)
        identities = {(member.name, member.version) for member in members}
        if len(members) < 2 or len(identities) < len(members):
            raise DetoxbenchError(
                f"scorer 'mean' needs at least two scorers, each once, as in mean:A+B, given "
                f"{', '.join(member.name for member in members) or 'none'}"
            )
        self.least = len(members) if least is None else least
        if not 1 <= self.least <= len(members):
            raise DetoxbenchError(f"scorer 'mean': least={least}: allowed are 1 to {len(members)}, its scorers")
        known = [member.languages for member in members if member.languages is not None]
        self.languages = reduce(frozenset.intersection, known) if known else None
        if self.languages is not None and not self.languages:
            raise DetoxbenchError("scorer 'mean': there is no language that all its scorers support")
        # Each member takes of the prompts what it judges.
        self.judges = "text" if all(member.judges == "text" for member in members) else "response"
        self.all_at_once = any(member.all_at_once for member in members)
        least_shown = "" if self.least == len(members) else f",least={self.least}"
        self.name = f"mean:{'+'.join(member.name for member in members)}{least_shown}"

    @classmethod
    def from_spec(cls, argument: str, **options: Any) -> MeanScorer:
        """See the class.

        Raises:
            DetoxbenchError: for a wrong ``least``, or whatever a member refuses.
        """
        argument, own = take(argument, options, ("least",))
        given = {name: value for name, value in options.items() if name != "least"}
        least = own.get("least")
        if least is not None and not str(least).isdecimal():
            raise DetoxbenchError(f"scorer 'mean': least={least!r}: a number of its scorers")
        specs = [spec.strip() for spec in members_of(argument) if spec.strip()]
        members = [loading.load(spec, **given) for spec in specs]
        return cls(members, least=None if least is None else int(least))

    @property
    def version(self) -> str:  # type: ignore[override]
        """All members' names and versions, and how many must have scored."""
        known = "; ".join(f"{member.name} {member.version}" for member in self.members)
        return f"least {self.least} of {len(self.members)}: {known}"

    @property
    def dated(self) -> bool:  # type: ignore[override]
        return any(member.dated for member in self.members)

    @property
    def missing(self) -> Mapping[tuple[str, bytes], str]:
        return {key: text for member in self.members for key, text in member.missing.items()}

    @property
    def archived_in(self) -> Path | None:
        return next((member.archived_in for member in self.members if member.archived_in is not None), None)

    def write_missing(self, path: Path | str) -> int:
        """What any member lacks, as ``Archived`` writes it, each text once."""
        lines = ({"lang": lang, "sha256": sha.hex(), "text": text} for (lang, sha), text in self.missing.items())
        write_lines(Path(path), lines)
        return len(self.missing)

    def ready(self) -> object:
        return [member.ready() for member in self.members]

    def open(self) -> None:
        for member in self.members:
            member.open()

    def score(self, texts: Sequence[str], lang: str, prompts: Sequence[str] | None = None) -> Scores:
        """Means of the members' first attributes.

        Raises:
            DetoxbenchError: for a language that one of them does not support.
        """
        check_language(self, lang)
        found = [member.score(texts, lang, prompts) for member in self.members]
        columns = np.array([one.values[member.attributes[0]] for one, member in zip(found, self.members, strict=True)])
        scored = ~np.isnan(columns)
        counts = scored.sum(axis=0)
        enough = counts >= self.least
        sums = np.where(scored, columns, 0.0).sum(axis=0)
        values = np.where(enough, sums / np.maximum(counts, 1), np.nan)
        reasons: list[str | None] = []
        for place, fine in enumerate(enough):
            if fine:
                reasons.append(None)
                continue
            absent = next(row for row in range(len(found)) if not scored[row, place])
            reasons.append(f"{self.members[absent].name}: {found[absent].reasons[place]}")
        retry = [
            not enough[place] and any(bool(one.retry and one.retry[place]) for one in found)
            for place in range(len(texts))
        ]
        return Scores({ATTRIBUTE: values}, reasons, retry=retry if any(retry) else ())
