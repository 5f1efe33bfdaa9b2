"""K continuations of many prompts: shared prefill, token-bounded batches, hashed Gumbel noise, exact top-p."""

from .engine import Sampling, generate

__all__ = ["Sampling", "generate"]
