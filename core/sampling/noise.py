"""Counter-based random numbers for sampling: a function of (seed, prompt, sample, step, token) and of nothing else.

The Gumbel-max trick draws a token from ``softmax(z)`` as ``argmax(z_w + g_w)`` with independent standard Gumbel
``g_w`` (Gumbel 1954; Maddison et al. 2014). With ``g_w = -log E_w`` and ``E_w`` standard exponential, hashed from the
token itself, a draw does not depend on batch, order or sharding; and two methods that see nearly the same
distribution draw the same token, so that their paired difference has far less variance than with one uniform number
a step.

The token hash is the 32-bit finalizer of MurmurHash3 (public domain) with a key a row; integer arithmetic on tensors
wraps around, on CPU and GPU alike.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

_GOLDEN = 0x9E3779B1 - 2**32
_MIX_1 = 0x85EBCA6B - 2**32
_MIX_2 = 0xC2B2AE35 - 2**32
_MIX_3 = 0x27D4EB2F


def prompt_key(text: str) -> int:
    """64 bits that stand for a prompt; the same text has the same key everywhere."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "little")


def _splitmix(x: np.ndarray) -> np.ndarray:
    """The finalizer of SplitMix64 (Steele et al. 2014) on uint64."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def row_keys(seed: int, prompts: np.ndarray, samples: np.ndarray, step: int | np.ndarray) -> np.ndarray:
    """One 64-bit key a row, as two int32.

    Args:
        seed: any integer; taken modulo 2**64.
        prompts: uint64 ``[rows]`` from ``prompt_key``.
        samples: ``[rows]`` index of the sample of its prompt.
        step: number of tokens generated before this one, of all rows or ``[rows]`` of each.

    Returns:
        int32 ``[rows, 2]``.
    """
    with np.errstate(over="ignore"):
        key = _splitmix(prompts ^ _splitmix(np.full(len(prompts), seed % 2**64, dtype=np.uint64)))
        key = _splitmix(key + samples.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
        key = _splitmix(key + np.asarray(step, dtype=np.uint64) * np.uint64(0xD1B54A32D192ED03))
    return key.view(np.uint32).view(np.int32).reshape(-1, 2)


def exponential(keys: Tensor, tokens: Tensor) -> Tensor:
    """Standard exponential noise of each token in each row.

    Args:
        keys: int32 ``[rows, 2]`` from ``row_keys``.
        tokens: integer ``[rows, n]`` or ``[n]`` token ids.

    Returns:
        float32 ``[rows, n]``, in (0, 16.7); its relative resolution is finest near 0, where the largest Gumbel
        numbers come from.
    """
    x = tokens.to(torch.int32) * _GOLDEN + keys[:, :1]
    x ^= (x >> 16) & 0xFFFF
    x *= _MIX_1
    x ^= (x >> 13) & 0x7FFFF
    x *= _MIX_2
    x ^= ((x >> 16) & 0xFFFF) ^ keys[:, 1:]
    x *= _MIX_3
    x ^= (x >> 15) & 0x1FFFF
    uniform = (x & 0x7FFFFFFF).to(torch.float32).add_(0.5).mul_(2.0**-31).clamp_(max=1.0 - 2.0**-24)
    return uniform.neg_().log1p_().neg_()
