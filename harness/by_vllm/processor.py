"""``Draws`` as a logits processor of vLLM; imported where vLLM is installed alone."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from vllm.v1.sample.logits_processor import (  # pyright: ignore[reportMissingImports]
    BatchUpdate,
    LogitsProcessor,
    MoveDirectionality,
)

from .draws import Draws


class DrawsProcessor(LogitsProcessor):
    """Of one engine."""

    def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool):
        self.draws = Draws(str(vllm_config.model_config.model))

    def is_argmax_invariant(self) -> bool:
        """It makes another token the likeliest one."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        if batch_update is None:
            return
        for place in batch_update.removed:
            self.draws.remove(place)
        for place, params, prompt, new in batch_update.added:
            self.draws.add(place, params.extra_args, prompt, new)
        for one, other, direction in batch_update.moved:
            self.draws.move(one, other, both=direction == MoveDirectionality.SWAP)

    def apply(self, logits: Tensor) -> Tensor:
        return self.draws.apply(logits)
