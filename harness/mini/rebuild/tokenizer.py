"""Trains the SentencePiece tokenizer and writes it as a transformers tokenizer."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

VOCABULARY = 12_500
END = "</s>"


def train(texts: Sequence[str], folder: Path) -> None:
    """A unigram model with byte fallback over the texts, deterministic: ``tokenizer.model`` and ``tokenizer.json``."""
    import sentencepiece
    from transformers import PreTrainedTokenizerFast

    buffer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=buffer, vocab_size=VOCABULARY, model_type="unigram",
        character_coverage=1.0, byte_fallback=True, normalization_rule_name="nmt_nfkc", num_threads=1,
        unk_id=0, eos_id=1, bos_id=-1, pad_id=-1, eos_piece=END, minloglevel=2,
    )  # fmt: skip
    (folder / "tokenizer.model").write_bytes(buffer.getvalue())
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_as_tokenizers(buffer.getvalue()), eos_token=END, bos_token=END, pad_token=END,
        unk_token="<unk>", model_max_length=128, clean_up_tokenization_spaces=False,
    )  # fmt: skip
    tokenizer.save_pretrained(folder)


def _as_tokenizers(model: bytes):
    """The same unigram model in the tokenizers library, which transformers loads without SentencePiece."""
    import sentencepiece
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    size = processor.get_piece_size()
    vocabulary = [(processor.id_to_piece(i), processor.get_score(i)) for i in range(size)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(replacement="▁", prepend_scheme="never")]
    )
    return tokenizer
