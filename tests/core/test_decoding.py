"""Continuations are decoded after their prompt, right from one token to the next, by every kind of tokenizer."""

from __future__ import annotations

import functools

import pytest
from tiny_tokenizers import TEXTS, byte_level, sentencepiece, word_piece
from transformers import PreTrainedTokenizerFast

from detoxbench.core.decoding import HALF, StopStrings, continuation, decode

MAKE = {
    "byte level": byte_level,
    "sentencepiece": sentencepiece,
    "sentencepiece without bos": functools.partial(sentencepiece, bos=False),
    "byte fallback": functools.partial(sentencepiece, seen=("en",)),
}


@pytest.fixture(scope="module", params=list(MAKE))
def tokenizer(request) -> PreTrainedTokenizerFast:
    return MAKE[request.param]()


@pytest.mark.parametrize("lang", list(TEXTS))
def test_every_cut_of_every_text(tokenizer, lang):
    """Prompt's text and continuation's make the whole; half a character at the cut goes to the continuation."""
    text = TEXTS[lang]
    ids = tokenizer(text)["input_ids"]
    assert decode(tokenizer, ids) == text
    begins = 1 if ids[0] == tokenizer.bos_token_id else 0
    for cut in range(begins, len(ids)):
        prompt = decode(tokenizer, ids[:cut])
        assert prompt.rstrip(HALF) + continuation(tokenizer, ids[:cut], ids[cut:]) == text, (lang, cut)
        assert prompt.count(HALF) <= 1


@pytest.mark.parametrize("lang", list(TEXTS))
def test_from_one_token_to_the_next(tokenizer, lang):
    """What has been said stays said; only an unfinished character at the end may change."""
    ids = tokenizer(TEXTS[lang])["input_ids"]
    prompt, new = ids[:4], ids[4:]
    before = ""
    for end in range(1, len(new) + 1):
        found = continuation(tokenizer, prompt, new[:end])
        assert found.startswith(before.rstrip(HALF))
        assert HALF not in found[:-1]
        before = found


def test_the_first_space_stays():
    """The fault that this module is there for: decoded by itself, " even" is "even"."""
    tokenizer = sentencepiece()
    prompt, new = tokenizer("voters,")["input_ids"], tokenizer(" even", add_special_tokens=False)["input_ids"][1:]
    assert tokenizer.decode(new) == "even"
    assert continuation(tokenizer, prompt, new) == " even"
    assert continuation(tokenizer, [tokenizer.bos_token_id], new) == "even"  # of an empty prompt: the text's beginning
    assert continuation(tokenizer, [], new) == "even"


def test_word_pieces_join_the_prompt():
    tokenizer = word_piece()
    pieces = {
        name: tokenizer.convert_tokens_to_ids(name) for name in ("the", "play", "##ing", "voters", ",", ".", "'", "s")
    }
    the, play, ing, voters, comma, stop, quote, s = pieces.values()
    assert continuation(tokenizer, [the, play], [ing, comma, voters]) == "ing, voters"
    assert continuation(tokenizer, [the, voters], [stop]) == "."
    assert continuation(tokenizer, [the], [play]) == " play"
    assert continuation(tokenizer, [the, quote], [s]) == " s"


def test_special_tokens():
    tokenizer = sentencepiece()
    ids = tokenizer("so what")["input_ids"]
    end = tokenizer.eos_token_id
    assert continuation(tokenizer, ids[:3], [*ids[3:], end]) == continuation(tokenizer, ids[:3], ids[3:])
    assert continuation(tokenizer, ids, [end], skip_special_tokens=False) == "</s>"
    assert continuation(tokenizer, ids, [end]) == ""
    assert continuation(tokenizer, ids, []) == ""


def test_invalid_bytes_do_not_swallow_the_prompt():
    tokenizer = sentencepiece(seen=("en",))
    prompt = tokenizer(TEXTS["th"])["input_ids"]
    bad = tokenizer.convert_tokens_to_ids("<0xFF>")
    assert set(continuation(tokenizer, prompt, [bad, bad, bad, bad, bad])) == {HALF}


@pytest.mark.parametrize("stop", ["\n", "games", "e v", "ทธิ", "信用", "🙂", "o'c"])
def test_stop_strings(tokenizer, stop):
    """Found in the continuation as soon as it is whole there, and not in the prompt, however long the text is."""
    for text in TEXTS.values():
        prompt = tokenizer(f"games {stop} ")["input_ids"]
        new = tokenizer(f"{text} {text} {text}", add_special_tokens=False)["input_ids"]
        stops = StopStrings(tokenizer, prompt, (stop,))
        found = next((end for end in range(1, len(new) + 1) if stops(new[:end])), None)
        whole = next(
            (end for end in range(1, len(new) + 1) if stop in continuation(tokenizer, prompt, new[:end])), None
        )
        assert found == whole
    assert not StopStrings(tokenizer, prompt, ())(new)
