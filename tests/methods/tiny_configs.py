"""A small configuration of any causal-LM architecture that the installed transformers can build."""

from __future__ import annotations

import inspect
import re
from typing import Any

from transformers import AutoConfig

WIDTH, HEADS, LAYERS, VOCABULARY, POSITIONS = 32, 4, 2, 67, 64
BY_NAME = {
    r"(hidden_size|d_model|n_embd|emb_dim|embedding_dim|embedding_size|attention_hidden_size)": WIDTH,
    r"word_embed_proj_dim": WIDTH,
    r"(lru_width|mamba_d_ssm|input_embedding_size|output_embedding_size|dim_model_base)": WIDTH,
    r"(num_attention_heads|n_heads?|num_heads|attention_heads|num_query_groups|swa_num_attention_heads)": HEADS,
    r"(encoder|decoder)_attention_heads|num_(encoder|decoder)_attention_heads": HEADS,
    r"(num_key_value_heads|num_kv_heads|swa_num_key_value_heads)": 2,
    r"(num_hidden_layers|n_layers?|num_layers|num_blocks)": LAYERS,
    r"(encoder|decoder)_layers|num_(encoder|decoder)_layers": LAYERS,
    r"(head_dim|swa_head_dim|v_head_dim|qk_nope_head_dim|qk_rope_head_dim|index_head_dim|kv_channels|dim_head)": 8,
    r"(linear_(key_|value_)?head_dim|mamba_head_dim|mamba_d_head|attention_head_size|rotary_dim)": 8,
    r"(intermediate_size(_mlp)?|ffn_dim|(encoder|decoder)_ffn_dim|dff|dim_ff|n_inner|feed_forward_size)": 48,
    r"(ffn_hidden_size|d_inner|block_ff_dim|.*_intermediate_size|expert_ffn_hidden_size)": 48,
    r"(num_experts|num_local_experts|n_routed_experts|moe_num_experts)": 4,
    r"(num_experts_per_tok(en)?|moe_topk|moe_k|topk|top_k_experts)": 2,
    r"(n_group|topk_group|num_expert_group|n_shared_experts|num_shared_experts|moe_num_shared_experts)": 1,
    r"(q_lora_rank|kv_lora_rank|o_lora_rank|gated_norm_rank|laurel_rank|adapter_rank|hc_lowrank)": 8,
    r"(state_size|ssm_state_size|mamba_d_state|mamba_dt_rank|time_step_rank)": 8,
    r"(max_position_embeddings|n_positions|max_seq_len|n_ctx|context_length|model_max_length)": POSITIONS,
    r"(sliding_window(_size)?|window_size|attention_window_size|local_attention|attention_chunk_size)": 32,
    r"(chunk_size|mamba_chunk_size|index_topk|block_size)": 16,
    r"(vocab_size|vocab_size_per_layer_input|unpadded_vocab_size)": VOCABULARY,
    r"hidden_size_per_layer_input": 8,
}
IDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
MAMBA = {"mamba_n_heads": 4, "mamba_d_head": 16}
ROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0}}
"""Of architectures whose default configuration has none, while every checkpoint of theirs does."""
QWEN4 = {
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "ngram_vocab_size_base": 97, "split_ngram_parts": 4,
    "ple_embed_dim": 32, "heads_per_ngram": 2, "indexer_n_heads": 4, "indexer_kv_heads": 1, "indexer_head_dim": 8,
    "indexer_budget": 16, "indexer_compress_ratio": 4,
}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    "bamba": {**MAMBA, "attn_layer_indices": [1]},
    "cohere_compass_text": {
        "rope_parameters": {
            kind: {"rope_type": "default", "rope_theta": 10_000.0} for kind in ("full_attention", "sliding_attention")
        }
    },
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "rope_theta": 10_000.0, "clip_qkv": 8.0},
        "ffn_config": {"ffn_hidden_size": 48, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "first_k_dense_replace": 1},
    "hunyuan_v1_dense": {**ROPE, "head_dim": 8},
    "hunyuan_v1_moe": {**ROPE, "head_dim": 8},
    "ministral": {**ROPE, "head_dim": 8},
    "dots3_note": {"num_key_value_heads": HEADS},
    "dots3_note_text": {"num_key_value_heads": HEADS},
    "falcon_h1": {**MAMBA, "mamba_d_ssm": 64},
    "gemma3n": {"num_kv_shared_layers": 0},
    "gemma3n_text": {"num_kv_shared_layers": 0},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "granitemoehybrid": {**MAMBA, "layer_types": ["mamba", "attention"]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "mamba2": {"head_dim": 16, "n_groups": 1},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "nemotron_h": {"layers_block_type": ["mamba", "attention"]},
    "recurrent_gemma": {"block_types": ["recurrent", "attention"]},
    "reformer": {"axial_pos_embds_dim": [16, 16], "axial_pos_shape": [8, 8], "is_decoder": True},
    "qwen4_exp": QWEN4,
    "qwen4_exp_text": QWEN4,
    "zaya": {"num_experts_per_tok": 1},
}
"""What the rules above make inconsistent."""
ENDS = ("zamba", "zamba2")
"""Hybrids that cannot be built of two layers of different kinds."""


def small(kind: str) -> Any:
    """A configuration of a tiny model: 2 layers or as few as the architecture allows."""
    whole = AutoConfig.for_model(kind)
    text = whole.get_text_config(decoder=True)
    changes = {}
    for name, value in text.to_dict().items():
        if isinstance(value, bool) or not (isinstance(value, int) or value is None):
            continue
        for pattern, small_value in BY_NAME.items():
            if re.fullmatch(pattern, name) and (value is not None or name in ("num_key_value_heads",)):
                changes[name] = small_value
    changes |= {name: value for name, value in IDS.items() if hasattr(text, name)}
    for name in ("layer_types", "mlp_layer_types", "layers_block_type"):
        listed = getattr(text, name, None)
        if isinstance(listed, list) and len(listed) >= LAYERS and name in inspect.signature(type(text)).parameters:
            # Of two kinds, where there are: a hybrid of recurrent layers alone has no attention to count positions by.
            other = next((one for one in reversed(listed) if one != listed[0]), listed[-1])
            changes[name] = [listed[0], listed[-1] if kind in ENDS else other]
    if "kv_lora_rank" in text.to_dict():
        changes["num_key_value_heads"] = HEADS  # keys and values are shared in another way
    for name in ("encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads"):
        if hasattr(text, name):
            changes[name] = HEADS if name.endswith("heads") else LAYERS
    if "default_language" in text.to_dict():
        changes["default_language"] = text.languages[0]
    if "is_decoder" in text.to_dict():
        changes["is_decoder"] = True
    changes |= OWN.get(kind, {})
    return type(text)(**changes)
