"""In which precision states and weights are changed."""

from __future__ import annotations

import torch
from torch import Tensor


def widened(tensor: Tensor, *like: Tensor) -> Tensor:
    """In float32, or in double precision where it or one of the others is: half precision is too coarse for norms."""
    dtype = torch.float32
    for one in (tensor, *like):
        dtype = torch.promote_types(dtype, one.dtype)
    return tensor.to(dtype)
