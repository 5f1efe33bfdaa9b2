"""Continuations are decoded after their prompt, right from one token to the next, by every kind of tokenizer."""

from __future__ import annotations

import functools

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from detoxbench.core.decoding import HALF, StopStrings, continuation, decode

TEXTS = {
    "en": "The voters, even those who didn't vote, playing games: it's 3 o'clock .",
    "ar": "قال الناخبون إنهم لا يثقون بأحد",
    "hi": "मतदाताओं ने कहा कि वे किसी पर भरोसा नहीं करते",
    "th": "ผู้มีสิทธิเลือกตั้งบอกว่าไม่ไว้ใจใคร",
    "ja": "有権者は誰も信用しないと言った。",
    "emoji": "so what 👩‍🚀 then 🙂",
}
SPECIAL = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def wrapped(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


def byte_level() -> PreTrainedTokenizerFast:
    """GPT-2's type: every text is bytes; merges cross no character that it has not seen."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([TEXTS["en"]] * 3, trainer)
    return wrapped(tokenizer)


def sentencepiece(bos: bool = True, seen: tuple[str, ...] = tuple(TEXTS)) -> PreTrainedTokenizerFast:
    """Llama 2's and Mistral's type: a space is put before the text and stripped when decoding; other characters are
    bytes."""
    pieces = sorted(set("".join(TEXTS[name] for name in seen)) - {" "})
    vocab = {piece: at for at, piece in enumerate([*SPECIAL, *BYTES, "▁", *pieces])}
    merges = [("▁", piece) for piece in pieces]
    vocab |= {left + right: len(vocab) + at for at, (left, right) in enumerate(merges)}
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    return wrapped(tokenizer)


def word_piece() -> PreTrainedTokenizerFast:
    """BERT's type: pieces within a word begin with ##; the decoder tidies spaces before punctuation."""
    characters = sorted(set("".join(TEXTS.values())) - {" "})
    words = ["the", "voters", "even", "play", "##ing", "##ed", "vote"]
    vocab = {piece: at for at, piece in enumerate([*SPECIAL, *words, *characters, *(f"##{c}" for c in characters)])}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return wrapped(tokenizer)


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
