"""A tiny GGUF file: a Llama of two blocks in 8 bits, with its tokenizer inside, as llama.cpp writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

WORDS = ["<s>", "</s>", "a", "b", "c", "ab", "Ġ", "Ġa", "Ġb", *(f"w{number}" for number in range(23))]
MERGES = ["a b", "Ġ a", "Ġ b"]
OUTSIDE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
INSIDE = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip
HEADS, DIM, LAYERS, POSITIONS = 2, 64, 2, 64


def write(path: Path) -> LlamaForCausalLM:
    """The file, and the model that it was made of."""
    from gguf import GGMLQuantizationType, GGUFWriter, quants

    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(WORDS), hidden_size=DIM, intermediate_size=96, num_hidden_layers=LAYERS,
            num_attention_heads=HEADS, num_key_value_heads=HEADS, max_position_embeddings=POSITIONS, bos_token_id=0,
            eos_token_id=1,
        )
    ).eval()  # fmt: skip
    file = GGUFWriter(path, "llama")
    file.add_context_length(POSITIONS)
    file.add_embedding_length(DIM)
    file.add_block_count(LAYERS)
    file.add_feed_forward_length(96)
    file.add_head_count(HEADS)
    file.add_head_count_kv(HEADS)
    file.add_layer_norm_rms_eps(1e-6)
    file.add_rope_dimension_count(DIM // HEADS)
    file.add_rope_freq_base(10_000.0)
    file.add_vocab_size(len(WORDS))
    file.add_tokenizer_model("gpt2")
    file.add_token_list(WORDS)
    file.add_token_types([3, 3] + [1] * (len(WORDS) - 2))
    file.add_token_merges(MERGES)
    file.add_bos_token_id(0)
    file.add_eos_token_id(1)
    packed = GGMLQuantizationType.Q8_0
    for name, tensor in model.state_dict().items():
        values = tensor.numpy().astype(np.float32)
        name = name.removesuffix(".weight")
        if name in OUTSIDE:
            name = OUTSIDE[name]
        else:
            _, _, layer, part = name.split(".", 3)
            name = f"blk.{layer}.{INSIDE[part]}"
            if INSIDE[part] in ("attn_q", "attn_k"):
                values = _interleaved(values)
        if values.ndim == 2 and name != "token_embd":
            file.add_tensor(f"{name}.weight", quants.quantize(values, packed), raw_dtype=packed)
        else:
            file.add_tensor(f"{name}.weight", values)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return model


def _interleaved(values: np.ndarray) -> np.ndarray:
    """Rows in llama.cpp's order of rotary pairs."""
    return values.reshape(HEADS, 2, DIM // HEADS // 2, DIM).swapaxes(1, 2).reshape(values.shape)
