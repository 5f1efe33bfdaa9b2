"""How far a datastore's neighbours lie, which temperature tells them apart, and whether a given one does.

Squared distances depend on the model: near 12 to 50 on one, in the thousands on another. At a temperature far above
their spread all neighbours weigh the same, and retrieval says nothing but how often a token occurs.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .knn import weights

QUERIES = 128
K = 1024
APART = 64
"""Rows between a query and what may be its neighbour: its own text would know the answer."""
SHARE = 0.25
"""Of the neighbours in the mixture whose likelihood is compared, with kNN-LM's default; the rest is uniform."""
GRID = np.geomspace(1 / 64, 16, 21)
"""Temperatures tried, as multiples of the spread from the nearest to the median neighbour."""
PUBLISHED = 100.0
FLAT = 0.9
"""Effective share of the neighbours from which on they count as weighing the same."""
Search = Callable[[Tensor, int], tuple[Tensor, Tensor]]


def measure(keys: np.ndarray, values: np.ndarray, search: Search, seed: int = 0) -> dict[str, Any] | None:
    """What the manifest says of distances: queries are keys of the store, without the rows near them.

    Args:
        keys, values: ``[count, dim]`` and ``[count]``.
        search: queries ``[rows, dim]`` and k -> squared distances and ids ``[rows, k]``.

    Returns:
        ``k``, ``queries``, the mean ``distances`` at ``ranks``, the ``temperature`` under which the queries' own tokens
        are likeliest, that mean ``log_likelihood`` and the one at the published temperature; None where the store is
        too small to leave a text out.
    """
    count = len(keys)
    k = min(K, count - 2 * APART - 1)
    if k < 2:
        return None
    rows = np.sort(np.random.default_rng(seed).choice(count, size=min(QUERIES, count), replace=False))
    distances, ids = search(torch.from_numpy(np.asarray(keys[rows], dtype=np.float32)), min(count, k + 2 * APART + 1))
    near = (ids - torch.from_numpy(rows)[:, None]).abs() <= APART
    distances = distances.masked_fill(near | (ids < 0), torch.inf)
    distances, order = distances.sort(dim=1, stable=True)
    distances, ids = distances[:, :k], ids.gather(1, order)[:, :k]
    whole = distances.isfinite().all(1)
    if not whole.any():
        return None
    distances, ids, rows = distances[whole], ids[whole], rows[whole.numpy()]
    tokens = torch.from_numpy(np.asarray(values)[ids.numpy()].astype(np.int64))
    own = torch.from_numpy(np.asarray(values[rows], dtype=np.int64))
    vocab = int(np.max(values)) + 1

    def likelihood(temperature: float) -> float:
        share = (weights(distances, temperature) * (tokens == own[:, None])).sum(1)
        return float((share * SHARE + (1 - SHARE) / vocab).log().mean())

    spread = float((distances[:, k // 2] - distances[:, 0]).median())
    found = {float(f"{spread * multiple:.3g}"): 0.0 for multiple in GRID if spread > 0} or {PUBLISHED: 0.0}
    found = {temperature: likelihood(temperature) for temperature in found}
    best = max(found, key=lambda temperature: (found[temperature], -temperature))
    ranks = sorted({*(2**power - 1 for power in range(k.bit_length()) if 2**power <= k), k - 1})
    return {
        "k": k,
        "queries": len(rows),
        "ranks": ranks,
        "distances": [round(float(distances[:, rank].mean()), 4) for rank in ranks],
        "temperature": best,
        "log_likelihood": found[best],
        "log_likelihood_at_100": likelihood(PUBLISHED),
    }


def effective_number(measured: Mapping[str, Any], k: int, temperature: float) -> float:
    """``exp`` of the entropy of k neighbours' weights, at the store's mean distances."""
    distances = np.interp(np.arange(k), measured["ranks"], measured["distances"])
    share = weights(torch.from_numpy(distances)[None], temperature)
    return math.exp(float(-(share * share.clamp_min(1e-300).log()).sum()))


def warn_if_flat(measured: Mapping[str, Any] | None, k: int, temperature: float, purpose: str) -> None:
    """Warn where nearly all neighbours weigh the same: retrieval then does next to nothing."""
    if not measured or k < 2:
        return
    number = effective_number(measured, k, temperature)
    if number >= FLAT * k and temperature > measured["temperature"]:
        first, last = measured["distances"][0], measured["distances"][-1]
        warnings.warn(
            f"{purpose}: at temperature={temperature:g} {number:,.0f} of {k:,} neighbours weigh the same, since "
            f"squared distances lie from {first:g} to {last:g}: near and far ones count alike; on this datastore's own "
            f"texts temperature={measured['temperature']:g} is likeliest",
            stacklevel=2,
        )
