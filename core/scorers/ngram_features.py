"""Hashed n-grams of many texts at once: characters within and across words, words and pairs of words.

Every n-gram is a span ``[start, end)`` of one long array of code points, and its hash follows from two prefix sums
(``H[i]`` = sum of ``code_j * P^j`` modulo 2^64, so that ``(H[end] - H[start]) * P^-start`` does not depend on where the
span lies): no string is cut, and no vocabulary of words is kept. Each text has two views: as written, whose hashes are
the language's own, and without accents, disguises and repeated letters, whose hashes languages that were fitted
together share.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice

import numpy as np
import regex

from .base import well_formed

BITS = 22
"""The table has ``2 ** BITS`` columns."""
SIZES = (1, 2, 3, 4, 5)
"""Characters of an n-gram; those of three and more lie within a word and the spaces at its ends."""
WORDS = (1, 2)
"""Words of an n-gram."""
LONGEST = 10_000
"""Characters of a text that count; what a longer text says after them does not."""

_P = np.uint64(0x9E3779B97F4A7C15)
_P_INVERSE = np.uint64(pow(int(_P), -1, 2**64))
_SPACE, _END = 32, 10
_DISGUISE = {"@": "a", "$": "s", "0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t"}
_IGNORED = ord("*")


@lru_cache(maxsize=8)
def _is(pattern: str) -> np.ndarray:
    """Whether each code point matches a pattern of one character: bool [code points]."""
    every = "".join(map(chr, range(0xD800))) + " " * 0x800 + "".join(map(chr, range(0xE000, 0x110000)))
    found = np.zeros(len(every), dtype=bool)
    for match in regex.finditer(f"(?:{pattern})+", every):
        found[slice(*match.span())] = True
    return found


@lru_cache(maxsize=1)
def _undisguised() -> np.ndarray:
    """Code point -> the letter that it may stand for, or itself."""
    found = np.arange(0x110000, dtype=np.uint32)
    for sign, letter in _DISGUISE.items():
        found[ord(sign)] = ord(letter)
    return found


def _codes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


def _text(codes: np.ndarray) -> str:
    return codes.astype("<u4").tobytes().decode("utf-32-le")


def _as_before(codes: np.ndarray) -> np.ndarray:
    """Whether each code is the one before it: bool [codes]."""
    return np.concatenate([[False], codes[1:] == codes[:-1]])


def _spaced(codes: np.ndarray) -> np.ndarray:
    """A space for every run of what is neither part of a word nor the end of a text."""
    apart = ~_is(r"[\p{L}\p{M}\p{N}'’*@$\n]")[codes]
    return np.where(apart, _SPACE, codes)[~(apart & np.concatenate([[False], apart[:-1]]))]


def normalised(texts: Sequence[str]) -> str:
    """The texts, one a line: compatible forms and cases made one, of a run of one character two left."""
    blob = "\n".join(" ".join(well_formed(text[:LONGEST]).split()) for text in texts)
    codes = _codes(unicodedata.normalize("NFKC", blob).casefold())
    again = _as_before(codes)
    third = again & np.concatenate([[False], again[:-1]]) & (codes != _END)
    return _text(codes[~third])


def as_written(blob: str) -> np.ndarray:
    """The view that keeps accents, as codes; one digit stands for all."""
    codes = _codes(blob)
    return _spaced(np.where(_is(r"\p{Nd}")[codes], ord("0"), codes))


def undisguised(blob: str) -> np.ndarray:
    """The view without accents, letters written as signs, and repeated letters, as codes."""
    codes = _codes(unicodedata.normalize("NFD", blob))
    plain = _codes(unicodedata.normalize("NFC", _text(codes[~_is(r"\p{Mn}")[codes]])))
    codes = _spaced(_undisguised()[plain[plain != _IGNORED]])
    return codes[~(_as_before(codes) & _is(r"\p{L}")[codes])]


@lru_cache(maxsize=256)
def _salt(name: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))


def _mixed(hashes: np.ndarray) -> np.ndarray:
    """MurmurHash3's finaliser, in place: every bit of the input changes every bit of the output."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        hashes ^= hashes >> np.uint64(33)
        hashes *= np.uint64(factor)
    hashes ^= hashes >> np.uint64(33)
    return hashes


def _columns(hashes: np.ndarray, kind: int, salt: np.uint64) -> np.ndarray:
    """Column of each n-gram of a kind, int64 [n-grams]."""
    return (_mixed((hashes + np.uint64(kind)) ^ salt) >> np.uint64(64 - BITS)).view(np.int64)


@lru_cache(maxsize=4)
def _powers(base: np.uint64, count: int) -> np.ndarray:
    """``base ** i`` modulo 2^64: uint64 [count]."""
    found = np.full(count, base)
    found[0] = 1
    with np.errstate(over="ignore"):
        return np.cumprod(found)


def _bounded(view: np.ndarray) -> np.ndarray:
    """The view with a space at the beginning and at the end of every text: uint64 [codes]."""
    ends = np.flatnonzero(view == _END)
    return np.insert(view, np.concatenate([[0], ends, ends + 1, [len(view)]]), _SPACE).astype(np.uint64)


def _characters(
    codes: np.ndarray, letter: np.ndarray, inside: np.ndarray, salt: np.uint64
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Beginning and column of every n-gram of characters, size by size: both [n-grams].

    Args:
        codes: ``_bounded``.
        letter: whether a code is part of a word.
        inside: whether a code is within a text that has a word, its spaces included.
        salt: of the hashes.
    """
    hashes, power = codes, np.uint64(1)
    ok, middle = letter, np.ones(max(0, len(codes) - 1), dtype=bool)
    for size in SIZES:
        if size > 1:
            # H(i, size) = H(i, size - 1) + code[i + size - 1] * P^(size - 1), for all i at once.
            power = power * _P
            hashes = hashes[:-1] + codes[size - 1 :] * power
            ok = inside[: 1 - size] & inside[size - 1 :]
        if size > 2:
            middle = middle[:-1] & letter[size - 2 : -1]
            ok = ok & middle
        start = np.flatnonzero(ok)
        yield start, _columns(hashes[start], size, salt)


def _words(
    codes: np.ndarray, rows: np.ndarray, inside: np.ndarray, salt: np.uint64
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Beginning and column of every word, and of every pair of words, with the spaces around them: both [n-grams].

    Words have any length: their hashes follow from one prefix sum.
    """
    count = len(codes)
    room = 1 << count.bit_length()
    powers, inverse = _powers(_P, room), _powers(_P_INVERSE, room)
    prefix = np.concatenate([np.zeros(1, np.uint64), np.cumsum(codes * powers[:count])])
    spaces = np.flatnonzero(codes == _SPACE)
    for words in WORDS:
        start, end = spaces[:-words], spaces[words:]
        # Between two texts there are two spaces with an end between them: no word, and no pair of words.
        ok = (rows[start] == rows[end]) & (end - start > 1) & inside[start]
        start, end = start[ok], end[ok]
        yield start, _columns((prefix[end + 1] - prefix[start]) * inverse[start], 100 + words, salt)


def _spans(view: np.ndarray, salt: np.uint64) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Text and column of every n-gram, kind by kind: both [n-grams]."""
    codes = _bounded(view)
    end = codes == _END
    letter = ~end & (codes != _SPACE)
    rows = np.cumsum(end)
    # A text without a word has no n-gram, not even of the spaces around it.
    spoken = np.bincount(rows, weights=letter) > 0
    inside = ~end & spoken[rows]
    with np.errstate(over="ignore"):
        for start, columns in chain(_characters(codes, letter, inside, salt), _words(codes, rows, inside, salt)):
            yield rows[start], columns


def grams(
    texts: Sequence[str], lang: str, shared: bool = True, least: int = SIZES[0]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """``features``, kind by kind, so that few of them are in memory at a time."""
    if not len(texts):
        return
    blob = normalised(texts)
    second = _salt("undisguised" if shared else f"undisguised\0{lang}")
    for view in (_spans(as_written(blob), _salt(f"written\0{lang}")), _spans(undisguised(blob), second)):
        yield from islice(view, SIZES.index(least), None)


def features(
    texts: Sequence[str], lang: str, shared: bool = True, least: int = SIZES[0]
) -> tuple[np.ndarray, np.ndarray]:
    """Text and column of every n-gram of both views, in no order, repeated as often as the n-gram is there.

    Args:
        texts: of one language.
        lang: primary subtag, which the first view's hashes contain.
        shared: whether the second view's hashes are those of all languages; else they contain the language too.
        least: characters of the n-grams of characters at least; words and pairs of words are always among them.

    Returns:
        int64 ``(rows, columns)``, both [n-grams]; columns below ``2 ** BITS``.
    """
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64)), *grams(texts, lang, shared, least)]
    return np.concatenate([rows for rows, _ in found]), np.concatenate([columns for _, columns in found])
