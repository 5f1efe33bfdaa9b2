"""Which language a text is in, or that it cannot be told.

py3langid (Lui and Baldwin 2012) always names a language, of three emoji too. An answer counts here where the text has
letters and the identifier gives its answer a probability of at least ``IDENTIFIED``; ``benchmarks/languages.py``
measures what that is worth, per language and length.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import regex

from .constants import IDENTIFIED

LANGUAGES = tuple("ar cs de en es fr hi id it ja ko nl pl pt ru sv zh th vi tr uk he el da fi no hu ro".split())
"""Candidates of the language identifier: those of the prompt sets and their close neighbours."""

EQUIVALENT = {"nb": ("no", "nb", "nn"), "no": ("no", "nb", "nn"), "sh": ("hr", "sr", "bs"), "fil": ("tl",)}
"""Languages that the identifier's answer may be for a tag that it does not have, or has several of."""

_LETTER = regex.compile(r"\p{L}")


@cache
def _identifier(candidates: tuple[str, ...]):
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(list(candidates))
    return identifier


def expected(lang: str) -> tuple[str, ...]:
    """The identifier's languages that a text in ``lang`` (BCP-47) may be identified as."""
    primary = lang.split("-")[0]
    return EQUIVALENT.get(primary, (primary,))


def identify(text: str, candidates: Sequence[str] = LANGUAGES, least: float = IDENTIFIED) -> str | None:
    """The language of a text (ISO 639-1) among the candidates.

    Args:
        text: of any length.
        candidates: that the identifier knows.
        least: probability that the answer must have; 0 takes any answer.

    Returns:
        None for a text without letters, and for one whose likeliest language is less likely than ``least``, as that of
        a name or of a single short word is.
    """
    if not _LETTER.search(text):
        return None
    language, probability = _identifier(tuple(candidates)).classify(text)
    return language if probability >= least else None


@cache
def _candidates_for(lang: str) -> tuple[str, ...]:
    """``LANGUAGES``, and those that ``lang`` may be identified as; empty if the identifier knows none of these."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    wanted = expected(lang)
    if all(tag in LANGUAGES for tag in wanted):
        return LANGUAGES
    known = set(LanguageIdentifier.from_model_file(MODEL_FILE).nb_classes)
    more = [tag for tag in wanted if tag in known and tag not in LANGUAGES]
    return (*LANGUAGES, *more) if more or any(tag in LANGUAGES for tag in wanted) else ()


def identify_for(text: str, lang: str) -> str | None:
    """The language of a text that should be in ``lang`` (BCP-47); None as ``identify`` says, and where the identifier
    cannot know that language.

    The rarer languages are candidates only for texts that should be in them, so that they change no others' numbers.
    """
    candidates = _candidates_for(lang)
    return identify(text, candidates) if candidates else None
