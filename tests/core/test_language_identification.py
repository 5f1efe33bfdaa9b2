"""The language of a text, and of texts that have none."""

import pytest

from detoxbench.core.language_identification import expected, identify, identify_for
from detoxbench.core.metrics.language import language_consistency, unidentified_fraction
from detoxbench.core.records import Prompt, PromptResult


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


@pytest.mark.parametrize("text", ["", " ", "😀😀😀", "!!! ?", "123 456", "٣٤", "।", "OK", "Maria Schmidt", "a", "lol"])
def test_no_language(text):
    """Emoji, digits and punctuation are in none; a name or a short word could be in several."""
    assert identify(text) is None


def test_any_answer_can_be_asked_for():
    assert identify("Maria Schmidt", least=0.0) is not None
    assert identify("😀😀😀", least=0.0) is None


def test_what_has_no_language_is_counted_apart():
    texts = ["😀😀😀", "it is raining today", "il fait très beau aujourd'hui", ""]
    prompt = Prompt(id="1", text="He said", lang="en")
    result = PromptResult(prompt=prompt, generations=texts, languages=[identify(text) for text in texts])
    assert list(result.languages) == [None, "en", "fr", None]
    assert language_consistency(result) == (1.0, 2.0)
    assert unidentified_fraction(result) == (1.0, 3.0)
