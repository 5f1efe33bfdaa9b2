"""Language codes: BCP-47, ISO 639-3, sets' own; sampling protocols; chat instructions."""

import pytest

from detoxbench.core.errors import DetoxbenchError
from detoxbench.core.language_identification import identify
from detoxbench.tasks import languages
from detoxbench.tasks.instructions import INSTRUCTIONS, chat_message, language
from detoxbench.tasks.options import Options
from detoxbench.tasks.prompts.ptp import LANGUAGES
from detoxbench.tasks.protocols import PROTOCOLS


@pytest.mark.parametrize(
    ("code", "tag"),
    [
        ("fr", "fr"),
        ("FR", "fr"),
        ("fra", "fr"),
        ("fre", "fr"),
        ("por_Latn", "pt"),
        ("zho_Hans", "zh-Hans"),
        ("arb_Arab", "ar"),
        ("ZH-Hant", "zh-Hant"),
        ("NO-NB", "nb"),
        ("BCMS", "sh"),
        ("DE-ch", "de-CH"),
        ("Pt-Br", "pt-BR"),
        ("cmn", "zh"),
        ("swh", "sw"),
        ("ind", "id"),
        (" hi ", "hi"),
    ],
)
def test_codes(code, tag):
    assert languages.tag(code) == tag
    assert languages.tag(languages.tag(code)) == tag


@pytest.mark.parametrize("code", ["", "english", "prompt.lang", "xq", "und", "\x00", "zh-" + "a" * 99])
def test_no_codes(code):
    assert languages.known(code) is None
    with pytest.raises(DetoxbenchError, match="no language code"):
        languages.tag(code)


def test_a_narrower_tag_belongs_to_a_wider_task_only():
    assert languages.matches("pt", "pt-BR")
    assert languages.matches("pt", "pt")
    assert not languages.matches("pt-BR", "pt")
    assert not languages.matches("f", "fr")


def test_every_language_of_ptp_has_an_instruction_in_it():
    assert set(LANGUAGES) <= set(INSTRUCTIONS)
    assert len(set(INSTRUCTIONS.values())) == len(INSTRUCTIONS)
    for lang in LANGUAGES:
        assert identify(INSTRUCTIONS[lang]) == lang


def test_the_prompt_stays_as_it_is_in_a_chat_message():
    text = " {{ So }}, I'm\n"
    assert chat_message(text, "de") == f"{INSTRUCTIONS['de']}\n\n{text}"
    assert [language(tag) for tag in ("pt-BR", "zh-Hant", "zh-Hans", "th")] == ["pt", "zh-Hant", "zh", "en"]


def test_protocols_set_k_and_a_given_k_wins():
    assert (PROTOCOLS["ptp"].samples, PROTOCOLS["rtp"].samples) == (10, 25)
    assert Options.from_metadata({}, "ptp").samples == 10
    assert Options.from_metadata({"protocol": "rtp"}, "ptp").samples == 25
    assert Options.from_metadata({"protocol": "ptp", "samples": 3}).samples == 3
    kwargs = PROTOCOLS["ptp"].generation_kwargs()
    assert (kwargs["max_gen_toks"], kwargs["temperature"], kwargs["top_p"]) == (512, 0.7, 1.0)
    with pytest.raises(DetoxbenchError, match="protocol='pt'"):
        Options.from_metadata({"protocol": "pt"})


def test_a_password_is_in_no_message():
    with pytest.raises(DetoxbenchError) as error:
        Options.from_metadata({"password": ["hunter2"]})
    assert "hunter2" not in str(error.value)
    assert "hunter2" not in repr(Options.from_metadata({"password": "hunter2"}))
