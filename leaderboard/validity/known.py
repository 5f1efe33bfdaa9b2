"""What published records say of a scorer in a language, for whoever shows its numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from ...core.validity import Known
from .records import HATE, Language, Scorer, ValidityRecord, read, read_kept

FOLDER = Path(__file__).parents[1] / "scorers"
"""Records that come with the package."""

State = Literal["valid", "chance", "unknown"]
MARKS: dict[State, str] = {"valid": "", "chance": "†", "unknown": "‡"}


@dataclass(frozen=True)
class Validity:
    """A scorer in a language.

    Args:
        state: ``valid``, the interval of its AUC lies above 0.5; ``chance``, it does not; ``unknown``, nobody has
            measured it, or not this version.
        known: figures; None where ``state`` is ``unknown``.
    """

    lang: str
    state: State
    known: Known | None = None

    @property
    def mark(self) -> str:
        return MARKS[self.state]

    @property
    def words(self) -> str:
        """``AUC 0.79 [0.76, 0.82] on rtp_lx``."""
        if self.known is None:
            return "not validated"
        one = self.known
        chance = ", no better than chance" if self.state == "chance" else ""
        return f"AUC {one.auc:.2f} [{one.low:.2f}, {one.high:.2f}] on {one.labels}{chance}"


def primary(lang: str) -> str:
    """Of a BCP-47 tag, the primary subtag.

    >>> primary("zh-Hans")
    'zh'
    """
    return lang.split("-")[0].lower()


def entries(
    records: Iterable[ValidityRecord], name: str, version: str
) -> list[tuple[ValidityRecord, Scorer, str, Language]]:
    """Where records speak of that very scorer's toxicity: record, scorer, language and figures."""
    return [
        (record, scorer, lang, entry)
        for record in records
        if record.labels.name != HATE
        for scorer in record.scorers
        if scorer.name == name and scorer.version == version
        for lang, entry in scorer.languages.items()
    ]


def validity(records: Iterable[ValidityRecord], name: str, version: str, langs: Sequence[str]) -> dict[str, Validity]:
    """Language -> what is known of the scorer there; of several label sets the one on which it does worst.

    Args:
        records: published.
        name, version: of the scorer, as results record them.
        langs: BCP-47 tags.
    """
    worst: dict[str, Known] = {}
    for record, scorer, lang, entry in entries(records, name, version):
        auc = entry.figures.get("auc")
        if auc is not None and auc.value is not None and auc.low is not None and auc.high is not None:
            scored = entry.texts - entry.unscored
            one = Known(scorer.name, primary(lang), record.labels.name, scored, auc.value, auc.low, auc.high)
            if one.lang not in worst or one.auc < worst[one.lang].auc:
                worst[one.lang] = one
    found = {}
    for lang in langs:
        known = worst.get(primary(lang))
        state: State = "unknown" if known is None else "valid" if known.better_than_chance else "chance"
        found[lang] = Validity(lang, state, known)
    return found


def sentence(found: Iterable[Validity]) -> str:
    """One line: the range of the AUC, and where it is no better than chance or not known."""
    each = list(found)
    measured = [one.known for one in each if one.known is not None]
    parts = []
    if measured:
        low, high = min(measured, key=lambda one: one.auc), max(measured, key=lambda one: one.auc)
        on = ", ".join(dict.fromkeys(one.labels for one in measured))
        span = f"{low.auc:.2f} ({low.lang})" + (f" to {high.auc:.2f} ({high.lang})" if len(measured) > 1 else "")
        parts.append(f"AUC {span} against people's labels ({on})")
    said: dict[State, str] = {"chance": "no better than chance in", "unknown": "not validated in"}
    for state, words in said.items():
        marked = [one.lang for one in each if one.state == state]
        if marked:
            where = "any language here" if len(marked) == len(each) > 1 else ", ".join(marked)
            parts.append(f"{MARKS[state]} {words} {where}")
    return "; ".join(parts)


FOOTNOTES: dict[State, str] = {
    "chance": "the 95% interval of the scorer's AUC against people's labels holds 0.5: its numbers in this language "
    "may say nothing of toxicity",
    "unknown": "nobody has published how well this version of the scorer agrees with people in this language: its "
    "numbers there are as good as unknown",
}


@cache
def packaged() -> tuple[ValidityRecord, ...]:
    """The records that come with the package.

    Raises:
        DetoxbenchError: if one was changed.
    """
    return tuple(read_kept(path) for path in sorted(FOLDER.glob("*.json")))


def gather(paths: Iterable[Path]) -> list[ValidityRecord]:
    """Reports and records of some files and folders.

    Raises:
        DetoxbenchError: for one that is none.
    """
    files = [file for path in paths for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    return [read(file) for file in dict.fromkeys(files)]


def published(paths: Iterable[Path] = ()) -> list[ValidityRecord]:
    """The records that come with the package, and those of some files and folders; each once.

    Raises:
        DetoxbenchError: for one that is none.
    """
    return list({one.id: one for one in (*packaged(), *gather(paths))}.values())
