"""Tiny random models to fine-tune, of several architectures, saved as users' are, with a tokenizer of their own."""

from __future__ import annotations

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

SIZE, LAYERS, HEADS = 32, 2, 2


def tokenizer(words, encoder):
    special = {"unk": "<unk>", "pad": "<pad>", "cls": "<s>", "sep": "</s>"}
    vocabulary = {token: place for place, token in enumerate([*special.values(), *sorted(words)])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    if encoder:
        ends = [("<s>", vocabulary["<s>"]), ("</s>", vocabulary["</s>"])]
        backend.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
        names = {f"{name}_token": token for name, token in special.items()}
    else:  # as GPT-2's: nothing to pad with
        names = {"unk_token": "<unk>", "eos_token": "</s>", "bos_token": "<s>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, **names)


def _config(kind, vocabulary):
    shape = {
        "vocab_size": vocabulary, "hidden_size": SIZE, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "intermediate_size": 2 * SIZE, "max_position_embeddings": 66, "pad_token_id": 1,
    }  # fmt: skip
    decoder = {**shape, "num_key_value_heads": 1, "head_dim": 16, "bos_token_id": 2, "eos_token_id": 3}
    return {
        "bert": lambda: transformers.BertConfig(**shape),
        "xlm-roberta": lambda: transformers.XLMRobertaConfig(**shape, type_vocab_size=1),
        "gpt2": lambda: transformers.GPT2Config(
            vocab_size=vocabulary, n_embd=SIZE, n_layer=LAYERS, n_head=HEADS, n_positions=64
        ),
        "gemma3": lambda: transformers.Gemma3TextConfig(**decoder, sliding_window=8),
        "qwen3": lambda: transformers.Qwen3Config(**decoder),
    }[kind]()


ENCODERS = ("bert", "xlm-roberta")
KINDS = (*ENCODERS, "gpt2", "gemma3", "qwen3")


def save(folder, kind, words):
    """A masked or causal LM of that architecture, whose words are these, as a folder."""
    encoder = kind in ENCODERS
    torch.manual_seed(0)
    family = transformers.AutoModelForMaskedLM if encoder else transformers.AutoModelForCausalLM
    made = tokenizer(words, encoder)
    family.from_config(_config(kind, len(made))).save_pretrained(folder)
    made.save_pretrained(folder)
    return folder
