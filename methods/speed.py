"""How fast this machine works, for estimates of time: products of matrices, timed for a moment."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache

import torch

ROWS, WIDTH = 256, 1_024
"""Of the products that are timed: those of a batch of texts in a small model."""
WARM = 5
"""Products before those that are timed: the first ones choose and build their programs."""
LONG = 0.1
"""Seconds that are timed at least."""
SHARE = 0.5
"""Of the speed of such products, that a whole model reaches; the rest goes to attention, normalisation and the like."""
FASTER = 2.0
"""On a processor a model in lower precision is at most so many times as fast, though products alone may be 40 times."""


@lru_cache
def operations(device: str, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a model in this precision, as it is on this machine at this moment.

    Args:
        device: ``cpu``, ``cuda``, ….
    """
    on = torch.device(device)
    one, other = torch.ones(ROWS, WIDTH, dtype=dtype, device=on), torch.ones(WIDTH, WIDTH, dtype=dtype, device=on)

    def product() -> float:
        start = time.perf_counter()
        torch.matmul(one, other)
        if on.type == "cuda":
            torch.cuda.synchronize(on)
        return time.perf_counter() - start

    for _ in range(WARM):
        product()
    quickest, end = product(), time.perf_counter() + LONG
    while time.perf_counter() < end:
        quickest = min(quickest, product())
    found = SHARE * 2 * ROWS * WIDTH * WIDTH / quickest
    return found if on.type != "cpu" or dtype.itemsize >= 4 else min(found, FASTER * operations(device, torch.float32))


def seconds(work: Mapping[torch.dtype, float], device: str) -> float:
    """Of some operations in each precision."""
    return sum(count / operations(device, dtype) for dtype, count in work.items() if count)
