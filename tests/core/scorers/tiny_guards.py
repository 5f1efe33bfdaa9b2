"""Tiny random causal LMs with byte-pair tokenizers that hold the guards' own answers and control tokens."""

import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

LLAMA3 = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
CHATML = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
GEMMA = ["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"]
GRANITE = ["<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"]
MISTRAL = ["<s>", "</s>"]
PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Llama 3's and Qwen's rule, digits one by one."""
SPACED = r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""GPT-2's rule: a number has the space before it."""
ANSWERS = (
    "safe unsafe Safety: Safe Safety: Unsafe Safety: Controversial Yes No yes no Harmful request: yes "
    "Harmful request: no "
    'Response refusal: yes Harmful response: no {"User Safety": "safe", "Response Safety": "unsafe"} '
    "<score> yes </score> "
    "<score> no </score> Rating: 0 1 2 3 4 the library opens at nine word another you are a fool fine day"
)
HEAD = "You check what people write. " * 6
"""Stands for a policy, which all prompts share."""

_CONVERSATION = (
    "{% for m in messages %}{{ 'User' if m.role == 'user' else 'Agent' }}: "
    "{{ m.content if m.content is string else m.content[0].text }}\n\n{% endfor %}"
)


def _turns(opening, closing):
    return "{% for m in messages %}" + opening + "{{ m.content }}" + closing + "{% endfor %}"


TEMPLATES = {
    "llama-guard": "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n" + HEAD + _CONVERSATION
    + "<|eot_id|><|start_header_id|>assistant<|end_header_id|>",
    "qwen3guard": "<|im_start|>user\n" + HEAD + _CONVERSATION
    + "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
    "chatml": _turns("<|im_start|>{{ m.role }}\n", "<|im_end|>\n") + "<|im_start|>assistant\n",
    "llama3": "<|begin_of_text|>" + _turns("<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n", "<|eot_id|>")
    + "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "shieldgemma": "<bos>" + HEAD + "<start_of_turn>\n" + _CONVERSATION
    + "<end_of_turn>\n{{ guideline }}\n<start_of_turn>model\n",
    "granite": _turns("<|start_of_role|>{{ m.role }}<|end_of_role|>", "<|end_of_text|>\n")
    + "<|start_of_role|>{{ guardian_config.risk_name or guardian_config.criteria_id }}<|end_of_role|>",
    "granite-byoc": _turns("<|start_of_role|>{{ m.role }}<|end_of_role|>", "<|end_of_text|>\n")
    + "<|start_of_role|>assistant<|end_of_role|>",
    "none": None,
}  # fmt: skip


def tokenizer(special, template, length=4096, pieces=PIECES):
    """A byte-level BPE trained on the answers, with those special tokens."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pieces), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=520,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([ANSWERS, *ANSWERS.split()] * 20 + [HEAD, "\n\n" * 5], trainer)
    found = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, model_max_length=length, eos_token=special[-1], pad_token=special[-1]
    )
    found.add_special_tokens({"additional_special_tokens": special})
    found.chat_template = template
    return found


def causal(kind, vocab, positions=4096, seed=0):
    """A model of 2 layers whose probabilities vary."""
    torch.manual_seed(seed)
    shape = {"vocab_size": vocab, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
             "intermediate_size": 48, "max_position_embeddings": positions, "pad_token_id": 0}  # fmt: skip
    grouped = {**shape, "num_key_value_heads": 2}
    config = {
        "llama": lambda: transformers.LlamaConfig(**grouped),
        "qwen3": lambda: transformers.Qwen3Config(**grouped, head_dim=8),
        "gemma2": lambda: transformers.Gemma2Config(**grouped, head_dim=8, sliding_window=16),
        "granite": lambda: transformers.GraniteConfig(**grouped),
        "mistral": lambda: transformers.MistralConfig(**grouped, sliding_window=None),
        "gpt2": lambda: transformers.GPT2Config(
            vocab_size=vocab, n_embd=32, n_layer=2, n_head=4, n_positions=positions, pad_token_id=0
        ),
    }[kind]()
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.25)
    return model.eval()


def guard(folder, kind, special, template, positions=4096, seed=0):
    """A saved guard, as users' are: its model and tokenizer."""
    words = tokenizer(special, TEMPLATES[template], positions)
    model = causal(kind, len(words), positions, seed)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return model, words
