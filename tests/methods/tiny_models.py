"""Shapes of the tests' tiny models, and the methods tried on them. (A module: tests cannot import a ``conftest``.)"""

from __future__ import annotations

from detoxbench.core.registry import METHODS as REGISTERED

VOCAB, DIM = 61, 16
METHODS = [name for name in REGISTERED if REGISTERED[name].kind in ("logit", "activation")]
ACTIVATION = [name for name in REGISTERED if REGISTERED[name].kind == "activation"]
FOLDED = [*(name for name in ACTIVATION if REGISTERED[name].folds), "profs"]
ARCHITECTURES = [
    "gpt2", "gpt_neo", "gpt_neox", "bloom", "opt", "llama", "mistral", "qwen2", "gemma2", "phi",
    "gemma3_text", "qwen3", "qwen3_moe",
]  # fmt: skip

COMMON = {"vocab_size": VOCAB, "hidden_size": DIM, "num_hidden_layers": 2, "num_attention_heads": 2}
GATED = {**COMMON, "intermediate_size": 32, "num_key_value_heads": 1, "max_position_embeddings": 64}
OWN = {
    "gpt2": {"vocab_size": VOCAB, "n_embd": DIM, "n_layer": 2, "n_head": 2, "n_positions": 64},
    "gpt_neo": {
        "vocab_size": VOCAB,
        "hidden_size": DIM,
        "num_layers": 2,
        "num_heads": 2,
        "attention_types": [[["global", "local"], 1]],
        "max_position_embeddings": 64,
    },
    "gpt_neox": {**COMMON, "intermediate_size": 32, "max_position_embeddings": 64},
    "opt": {**COMMON, "ffn_dim": 32, "word_embed_proj_dim": DIM, "max_position_embeddings": 64},
    "bloom": {"vocab_size": VOCAB, "hidden_size": DIM, "n_layer": 2, "n_head": 2},
    "gemma2": {**GATED, "head_dim": 8, "sliding_window": 32},
    "gemma3_text": {**GATED, "head_dim": 8, "sliding_window": 32},
    "qwen3": {**GATED, "head_dim": 8},
    "qwen3_moe": {**GATED, "head_dim": 8, "moe_intermediate_size": 16, "num_experts": 4, "num_experts_per_tok": 2},
    "mistral": {**GATED, "sliding_window": 32},
    "mixtral": {**GATED, "num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen2_moe": {**GATED, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8,
                  "shared_expert_intermediate_size": 16},
}  # fmt: skip
NEWER = ["gemma3_text", "qwen3", "mixtral", "qwen2_moe"]
"""Beside ``ARCHITECTURES``: norms behind attention and MLP, norms of queries and keys, mixtures of experts."""
