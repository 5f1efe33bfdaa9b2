"""Tokenizers of every kind of decoder, made from a few texts."""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

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
