"""Words in scripts with and without spaces, and languages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detoxbench.core.segmentation import distinct_ngrams, expected, identify, identify_for, unicode_words, whitespace


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


@pytest.mark.parametrize(
    ("text", "lang"),
    [
        ("and nobody at work likes that", "en"),
        ("и никто на работе этого не любит", "ru"),
        ("e nessuno al lavoro lo sopporta più", "it"),
        ("et personne au travail ne le supporte", "fr"),
        ("e ninguém no trabalho gosta disso", "pt"),
        ("y nadie en el trabajo lo soporta ya", "es"),
        ("ولا أحد في العمل يحب ذلك", "ar"),
        ("और दफ़्तर में यह किसी को पसंद नहीं", "hi"),
        ("회사에서 아무도 좋아하지 않는다", "ko"),
        ("公司里没有人喜欢这样", "zh"),
        ("職場ではだれもそれが好きではない", "ja"),
    ],
)
def test_languages(text, lang):
    assert identify(text) == lang


def test_rarer_languages_are_candidates_only_where_they_are_expected():
    catalan, welsh = (
        "Aquesta és la casa de la meva àvia i m'agrada molt",
        "Mae'r tywydd yn braf iawn heddiw yng Nghymru",
    )
    assert identify_for(catalan, "ca") == "ca"
    assert identify(catalan) != "ca"
    assert identify_for(welsh, "cy") == "cy"
    assert identify_for(catalan, "es") == identify(catalan)
    assert identify_for("Det er fint vær i dag, og jeg vil gå en tur", "nb") in expected("nb")
    assert identify_for("Vrijeme je danas lijepo i idemo u šetnju", "sh") in expected("sh")
    assert identify_for("text", "tlh") is None
