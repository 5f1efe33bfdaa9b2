"""Words of a text in any language, for diversity.

Word boundaries are Unicode's (UAX 29). It needs a dictionary for scripts written without spaces and leaves them as one
long word or as single characters, depending on the script; here Han, Kana and Thai always count one character each.
``whitespace`` splits at single spaces, as the published systems do in every language.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import regex

_WORD = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]\p{M}*|(?:(?![\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}])(?w:\b\w.*?\b))",
    regex.V1 | regex.WORD,
)


def unicode_words(text: str) -> list[str]:
    """Words of a text; punctuation and spaces are not words.

    >>> unicode_words("Don't panic, 東京は 3.14!")
    ["Don't", 'panic', '東', '京', 'は', '3.14']
    """
    return _WORD.findall(text)


def whitespace(text: str) -> list[str]:
    """The published ``text.split(" ")``: an empty text is one (empty) word."""
    return text.split(" ")


SEGMENTERS: dict[str, Callable[[str], list[str]]] = {"unicode": unicode_words, "whitespace": whitespace}


def distinct_ngrams(texts: Sequence[str], n: int, segmenter: str = "unicode") -> tuple[int, int]:
    """Distinct n-grams of words over the texts, and the number of all their words (Li et al. 2016)."""
    split = SEGMENTERS[segmenter]
    seen: set[tuple[str, ...]] = set()
    total = 0
    for text in texts:
        words = split(text)
        total += len(words)
        seen.update(zip(*(words[start:] for start in range(n)), strict=False))
    return len(seen), total


@cache
def _identifier(candidates: tuple[str, ...]):
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=False)
    identifier.set_languages(list(candidates))
    return identifier


LANGUAGES = tuple("ar cs de en es fr hi id it ja ko nl pl pt ru sv zh th vi tr uk he el da fi no hu ro".split())
"""Candidates of the language identifier: those of the prompt sets and their close neighbours."""


EQUIVALENT = {"nb": ("no", "nb", "nn"), "no": ("no", "nb", "nn"), "sh": ("hr", "sr", "bs"), "fil": ("tl",)}
"""Languages that the identifier's answer may be for a tag that it does not have, or has several of."""


def expected(lang: str) -> tuple[str, ...]:
    """The identifier's languages that a text in ``lang`` (BCP-47) may be identified as."""
    primary = lang.split("-")[0]
    return EQUIVALENT.get(primary, (primary,))


def identify(text: str, candidates: Sequence[str] = LANGUAGES) -> str:
    """The language of a text (ISO 639-1), by py3langid (Lui and Baldwin 2012) among the candidates."""
    return _identifier(tuple(candidates)).classify(text)[0]


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
    """The language of a text that should be in ``lang`` (BCP-47); None where the identifier cannot know that language.

    The rarer languages are candidates only for texts that should be in them, so that they change no others' numbers.
    """
    candidates = _candidates_for(lang)
    return identify(text, candidates) if candidates else None
