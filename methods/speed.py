"""How fast this machine works, for estimates of time: products of matrices, timed for a moment."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache

import torch

ROWS, WIDTH = 256, 1_024
"""Of the products that are timed: those of a batch of texts in a small model."""
LONG = 0.05
"""Seconds that are timed at least."""
SHARE = 0.4
"""Of the speed of such products, that a whole model reaches; the rest goes to attention, normalisation and the like."""


@lru_cache
def operations(device: str, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a model in this precision, as it is on this machine at this moment.

    Args:
        device: ``cpu``, ``cuda``, ….
    """
    on = torch.device(device)
    one, other = torch.ones(ROWS, WIDTH, dtype=dtype, device=on), torch.ones(WIDTH, WIDTH, dtype=dtype, device=on)
    best, start = 0.0, time.perf_counter()
    while time.perf_counter() - start < LONG or not best:
        before = time.perf_counter()
        one @ other
        if on.type == "cuda":
            torch.cuda.synchronize(on)
        best = max(best, 2 * ROWS * WIDTH * WIDTH / (time.perf_counter() - before))
    return SHARE * best


def seconds(work: Mapping[torch.dtype, float], device: str) -> float:
    """Of some operations in each precision."""
    return sum(count / operations(device, dtype) for dtype, count in work.items() if count)
