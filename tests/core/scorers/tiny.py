"""Tiny random classifiers, saved as users' are."""

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = [f"word{number}" for number in range(60)]
KINDS = ("bert", "roberta", "multi_label", "gpt2")


def tokenizer(kind, length):
    special = {"unk": "<unk>", "pad": "<pad>", "cls": "<s>", "sep": "</s>"}
    vocabulary = {token: place for place, token in enumerate([*special.values(), *WORDS])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", vocabulary["<s>"]), ("</s>", vocabulary["</s>"])]
    )
    names = {f"{name}_token": token for name, token in special.items()}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=length, **names)


def classifier(folder, kind="bert", labels=("nontoxic", "toxic"), seed=0, window=16, head=True):
    """A saved model of 2 layers whose probabilities vary, and its folder."""
    torch.manual_seed(seed)
    shape = {"vocab_size": len(WORDS) + 4, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
             "intermediate_size": 32, "pad_token_id": 1}  # fmt: skip
    names = {"id2label": dict(enumerate(labels)), "label2id": {name: place for place, name in enumerate(labels)}}
    if kind == "roberta":
        config = transformers.RobertaConfig(**shape, **names, max_position_embeddings=window + 2)
        family, bare = transformers.RobertaForSequenceClassification, transformers.RobertaModel
    elif kind == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=len(WORDS) + 4, n_embd=16, n_layer=2, n_head=2, n_positions=window, pad_token_id=1, **names
        )
        family, bare = transformers.GPT2ForSequenceClassification, transformers.GPT2Model
    else:
        config = transformers.BertConfig(**shape, **names, max_position_embeddings=window)
        family, bare = transformers.BertForSequenceClassification, transformers.BertModel
        if kind == "multi_label":
            config.problem_type = "multi_label_classification"
    model = (family if head else bare)(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.35)
    model.eval().save_pretrained(folder)
    tokenizer(kind, window if kind != "gpt2" else 10**30).save_pretrained(folder)
    return model
