"""K continuations of many prompts: shared prefill, token-bounded batches, hashed Gumbel noise, exact top-p."""

from .engine import Request, generate
from .settings import Sampling
from .thinking import Thinking

__all__ = ["Request", "Sampling", "Thinking", "generate"]
