"""Words of a text in any language, for diversity.

Word boundaries are Unicode's (UAX 29). It needs a dictionary for scripts written without spaces and leaves them as one
long word or as single characters, depending on the script; here Han, Kana and Thai always count one character each.
``whitespace`` splits at single spaces, as the published systems do in every language.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
