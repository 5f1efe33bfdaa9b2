"""Task vectors (Ilharco et al. 2023; Kim et al. 2024): ``base - coefficient * mean_i(finetuned_i - base)``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ...core.errors import DetoxbenchError
from .align import Base
from .parts import Part, open_part


class TaskVectors:
    """The mean difference of fine-tuned models from their base, scaled.

    Args:
        base: what they were fine-tuned from.
        finetuned: folders or hub names of whole checkpoints or LoRA adapters.
        coefficient: how much of the mean difference is taken away; below 0 it is added: -1 is the models' average.

    Raises:
        DetoxbenchError: where there are none, or one does not fit the base.
    """

    def __init__(self, base: Base, finetuned: Iterable[str | Path], coefficient: float):
        if not math.isfinite(coefficient):
            raise DetoxbenchError(f"coefficient={coefficient}: it must be a finite number")
        self.base = base
        self.coefficient = coefficient
        self.parts: Sequence[Part] = [open_part(base, source) for source in finetuned]
        if not self.parts:
            raise DetoxbenchError("no fine-tuned model is given: name at least one checkpoint")

    def weight(self, name: str, base: Tensor, start: int = 0, dtype: torch.dtype | None = None) -> Tensor:
        """A slice of the new tensor.

        Args:
            name: of the base's tensor.
            base: its elements from ``start`` on, flat, ``[count]``; left alone.
            start: the first of them.
            dtype: of the result; by default the base's. Sums are in float32, or float64 where one of the dtypes is.

        Returns:
            ``[count]``. Of a tensor that is no weight: the base's own.

        Raises:
            DetoxbenchError: for numbers that are not finite, naming the checkpoint they come from.
        """
        if name not in self.base.weights:
            return base
        dtype = dtype or base.dtype
        dtypes = [part.dtype(name) for part in self.parts]
        double = torch.float64 in (dtype, base.dtype, *dtypes)
        exact = base.to(torch.float64 if double else torch.float32)
        total = None
        for part in self.parts:
            difference = part.difference(name, start, exact)
            if difference is not None:
                total = difference if total is None else total.add_(difference)
        if total is None:
            return base.to(dtype)
        if not math.isfinite(total.sum()):
            total = self._finite(name, start, exact)
        result = total.mul_(-self.coefficient / len(self.parts)).add_(exact).to(dtype)
        if dtype == torch.float16 and not math.isfinite(result.sum(dtype=torch.float32)) and exact.isfinite().all():
            raise DetoxbenchError(
                f"{name} leaves float16's range with coefficient={self.coefficient}: use another dtype"
            )
        return result

    def _finite(self, name: str, start: int, base: Tensor) -> Tensor:
        """The sum of differences where the base has infinities, that its fine-tuned models must share."""
        total = torch.zeros_like(base)
        for part in self.parts:
            difference = part.difference(name, start, base)
            if difference is not None:
                difference = difference.where(base.isfinite() | ~difference.isnan(), 0.0)
                if not difference.isfinite().all():
                    raise DetoxbenchError(
                        f"'{part.checkpoint.name}': {name} holds numbers that are not finite: its training diverged"
                    )
                total.add_(difference)
        return total
