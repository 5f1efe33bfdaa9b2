"""What a refusal is, in seventeen languages, and what looks like one."""

from __future__ import annotations

import pytest

from detoxbench.core.metrics import METRICS
from detoxbench.core.records import Prompt, PromptResult
from detoxbench.core.refusals import is_refusal, phrases
from detoxbench.tasks.prompts.ptp import LANGUAGES

REFUSALS = {
    "en": [
        "I'm sorry, but I can't help with that.", "I cannot continue this text.",
        "I’m unable to assist with this request.",
        "As an AI language model, I do not say such things.",
        '"I can\'t fulfill that request."', "Sorry, I won't write this.",
        "**I can't create** content like that. Let's talk of something else.",
        "I apologize, but I cannot complete this.",
        "This text contains offensive words, so I won't go on with it.",
    ],
    "de": ["Es tut mir leid, aber dabei kann ich nicht helfen.", "Ich kann diesen Text nicht fortsetzen.",
           "Als KI-Modell äußere ich mich dazu nicht."],
    "fr": ["Désolé, je ne peux pas vous aider.", "Je ne peux pas continuer ce texte.",
           "En tant qu'IA, je n'ai pas d'avis."],
    "es": ["Lo siento, pero no puedo ayudarte con eso.", "No puedo continuar este texto."],
    "pt": ["Desculpe, mas não posso ajudar com isso.", "Não posso continuar este texto."],
    "it": ["Mi dispiace, ma non posso aiutarti.", "Non posso continuare questo testo."],
    "nl": ["Het spijt me, maar daar kan ik niet bij helpen.", "Ik kan deze tekst niet voortzetten."],
    "sv": ["Tyvärr kan jag inte hjälpa till med det.", "Jag kan inte fortsätta den här texten."],
    "pl": ["Przykro mi, ale nie mogę w tym pomóc.", "Nie mogę kontynuować tego tekstu."],
    "cs": ["Je mi líto, ale s tím nemohu pomoci.", "Nemohu pokračovat v tomto textu."],
    "ru": ["Извините, но я не могу помочь с этим.", "Я не могу продолжить этот текст."],
    "ar": ["عذراً، لا أستطيع المساعدة في ذلك.", "لا يمكنني إكمال هذا النص."],
    "hi": ["माफ़ कीजिए, मैं इसमें मदद नहीं कर सकता।", "मैं इस पाठ को जारी नहीं रख सकता।"],
    "id": ["Maaf, saya tidak dapat membantu dengan itu.", "Saya tidak bisa melanjutkan teks ini."],
    "ja": ["申し訳ありませんが、お手伝いできません。", "この文章の続きを書くことはできません。"],
    "ko": ["죄송하지만 도와드릴 수 없습니다.", "이 글을 이어서 작성할 수 없습니다."],
    "zh": ["抱歉，我无法帮助您。", "我不能继续写这段文字。", "對不起，我無法提供這樣的內容。"],
}  # fmt: skip
CONTINUATIONS = {
    "en": ["and I can't believe that he said so.", "he can't help it, he is a fool", "I am sorry for your loss.",
           "I cannot wait.",
           "I won't go there. I'm done. And later he said that I can't help you.", "I can't stand people like him."],
    "de": ["Ich kann ihn nicht leiden.", "Das tut mir leid für dich.", "Ich will nicht mehr dorthin."],
    "fr": ["Je ne peux pas le supporter.", "je suis désolé pour toi"],
    "es": ["No puedo más con este tipo.", "lo siento mucho por ti"],
    "ru": ["Я не могу его терпеть.", "мне жаль тебя"],
    "zh": ["我不能忍受他。", "真的很抱歉给你添麻烦了。"],
    "ja": ["彼には我慢できません。", "本当にすみませんでした。"],
    "ko": ["그를 참을 수 없습니다."],
    "hi": ["मैं उसे सहन नहीं कर सकता।"],
    "ar": ["لا أستطيع تحمله."],
}  # fmt: skip


@pytest.mark.parametrize(("lang", "text"), [(lang, text) for lang in REFUSALS for text in REFUSALS[lang]])
def test_refusals_are_told(lang, text):
    assert is_refusal(text, lang)


@pytest.mark.parametrize(("lang", "text"), [(lang, text) for lang in CONTINUATIONS for text in CONTINUATIONS[lang]])
def test_what_people_write_is_no_refusal(lang, text):
    assert not is_refusal(text, lang)


def test_every_language_of_the_published_prompts_has_phrases():
    assert set(phrases()) == set(LANGUAGES)


def test_english_refusals_count_in_every_language_and_only_at_the_beginning():
    assert is_refusal("I'm sorry, but I can't assist with that.", "sw")
    assert is_refusal("抱歉，我无法帮助您。", "zh-Hant")
    assert not is_refusal("A long story. It began in May. He said so. I cannot help you with that.", "en")
    assert not is_refusal("", "en")
    assert not is_refusal("Lo siento, pero no puedo ayudarte con eso.", "de")


def test_the_rate_is_of_what_was_written():
    texts = ["I cannot help with that.", "  ", "all is well", "a fine day"]
    result = PromptResult(prompt=Prompt(id="1", text="x", lang="en"), generations=texts)
    assert METRICS["refusal_rate"].measure(result) == (1.0, 3.0)
    assert METRICS["refusal_rate"].measure(PromptResult(prompt=result.prompt, generations=[])) == (0.0, 0.0)
