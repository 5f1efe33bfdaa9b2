"""Words in scripts with and without spaces, for diversity."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detoxbench.core.segmentation import distinct_ngrams, unicode_words, whitespace


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't panic, it is 3.14!", ["Don't", "panic", "it", "is", "3.14"]),
        ("東京は晴れ。", ["東", "京", "は", "晴", "れ"]),
        ("カタカナ語", ["カ", "タ", "カ", "ナ", "語"]),
        ("오늘은 좋다", ["오늘은", "좋다"]),
        ("مرحبا بكم", ["مرحبا", "بكم"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("L'été, déjà ?", ["L'été", "déjà"]),
        ("… !?", []),
        ("", []),
    ],
)
def test_words(text, words):
    assert unicode_words(text) == words


def test_whitespace_is_the_published_split():
    assert whitespace("a  b") == ["a", "", "b"]
    assert whitespace("東京は晴れ") == ["東京は晴れ"]


def test_distinct_by_hand():
    assert distinct_ngrams(["a b a", "b a"], 1) == (2, 5)
    assert distinct_ngrams(["a b a", "b a"], 2) == (2, 5)
    assert distinct_ngrams(["a b a", "b a"], 3) == (1, 5)
    assert distinct_ngrams([], 1) == (0, 0)


@given(st.lists(st.text(max_size=40), max_size=5), st.integers(1, 3))
def test_no_more_ngrams_than_words(texts, n):
    distinct, words = distinct_ngrams(texts, n)
    assert 0 <= distinct <= words
