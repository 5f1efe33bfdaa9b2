"""Exact nearest neighbours by squared L2 distance, on any device, in bounded memory."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...core.sampling.nucleus import largest

RESIDENT = 1 << 29
"""Bytes of float32 keys kept on the queries' device; larger sets of keys are read block by block at every search."""
BLOCK = 1 << 24
"""Elements of a block of distances, 4 bytes each; selecting takes 8 more."""
CENTRE = 4096
"""Keys whose mean is the centre."""


class ExactSearch:
    """Compares every query with every key.

    Args:
        keys: ``[count, dim]`` array or memory map.
    """

    def __init__(self, keys: np.ndarray):
        self.keys = keys
        # Distances are differences of large numbers where all keys share a large component: it is taken off first.
        self._centre = torch.from_numpy(np.asarray(keys[:CENTRE], dtype=np.float32).mean(0))
        self._resident: Tensor | None = None

    def search(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k nearest keys.

        Args:
            queries: float32 ``[rows, dim]``.
            k: at most the number of keys.

        Returns:
            Distances float32 and ids int64, ``[rows, k]``, nearest first.
        """
        size = max(1, BLOCK // max(len(self.keys), 1)) if self._fits else 1024
        if self._centre.device != queries.device:
            self._centre = self._centre.to(queries.device)
        queries = queries - self._centre
        parts = [self._search_rows(queries[i : i + size], k) for i in range(0, len(queries), size)]
        return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])

    @property
    def _fits(self) -> bool:
        return self.keys.size * 4 <= RESIDENT

    def _search_rows(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        if self._fits:
            if self._resident is None or self._resident.device != queries.device:
                self._resident = self._load(slice(None), queries.device)
            return _nearest(queries, self._resident, k)
        distances = queries.new_empty(len(queries), 0)
        ids = torch.empty(len(queries), 0, dtype=torch.int64, device=queries.device)
        step = max(k, BLOCK // max(len(queries), self.keys.shape[1]))
        for start in range(0, len(self.keys), step):
            keys = self._load(slice(start, start + step), queries.device)
            near, at = _nearest(queries, keys, min(k, len(keys)))
            distances = torch.cat([distances, near], dim=1)
            ids = torch.cat([ids, at + start], dim=1)
            distances, order = distances.topk(min(k, distances.shape[1]), largest=False)
            ids = ids.gather(1, order)
        return distances, ids

    def _load(self, rows: slice, device: torch.device) -> Tensor:
        return torch.from_numpy(np.array(self.keys[rows])).to(device).float().sub_(self._centre)


def _nearest(queries: Tensor, keys: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """``2 query·key - |key|²`` orders the keys; from ``|query|²`` it is taken for the k best alone."""
    closeness = torch.addmm(keys.square().sum(-1).neg_().unsqueeze(0), queries, keys.T, alpha=2.0)
    values, ids = largest(closeness, k)
    values, order = values.sort(-1, descending=True)
    return (queries.square().sum(-1, keepdim=True) - values).clamp_(min=0.0), ids.gather(1, order)
