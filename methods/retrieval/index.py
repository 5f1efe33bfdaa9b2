"""The approximate index of large datastores: inverted lists of product-quantised keys (faiss IVF-PQ).

About 4 sqrt(n) lists, rounded to a power of two and capped by n / 39 (faiss's least points a centroid) and by what a
training sample of bounded memory gives 16 keys each: however large a datastore is, its index is trained in the same
memory. Codes of 64 bytes where the dimension allows them; 32 lists are looked into. A code is 128 numbers of 4 bits,
whose tables of distances stay in the processor's registers (André et al. 2017), and not 64 of 8 bits: the search takes
a quarter of the time, training half, and as many true neighbours are found. GPUs of faiss know 8 bits only, and get
these.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.errors import DetoxbenchError, missing_extra

EXACT_BELOW = 65_536
"""Keys; smaller datastores are searched exactly."""
NPROBE = 32
CODE_BYTES = 64
"""Of a key, at most."""
POINTS_PER_LIST, LEAST_POINTS = 64, 16
"""Keys a list that the index is trained on, at most and at least; faiss would take 256, at four times the time."""
SAMPLE_BYTES = 1 << 29
"""Of the float32 keys that an index is trained on, at most; training needs about as much again."""
GRAPH_FROM = 4096
"""Lists from which a graph (HNSW) finds the nearest lists, so that comparing with each of them is not the wall."""
ADD_BLOCK = 32_768
SEED = 1234


def faiss_module() -> Any:
    """faiss, imported when an approximate index is first used.

    Raises:
        DetoxbenchError: where it is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise missing_extra("faiss-cpu", "cpu", f"a datastore of {EXACT_BELOW:,} keys or more") from error
    return faiss


def lists(count: int, dim: int) -> int:
    """Inverted lists of an index of so many keys.

    >>> lists(1_000_000, 1024), lists(50_000_000, 1024), lists(50_000_000, 192)
    (4096, 8192, 32768)
    """
    wanted = 2 ** round(math.log2(max(1.0, min(4 * math.sqrt(count), count / 39))))
    trained = SAMPLE_BYTES // (4 * dim) // LEAST_POINTS
    return min(wanted, 2 ** int(math.log2(max(1, trained))))


def sample_size(count: int, dim: int) -> int:
    """Keys that an index of so many is trained on."""
    wanted = max(lists(count, dim) * POINTS_PER_LIST, 256 * 64)
    return min(count, wanted, max(1, SAMPLE_BYTES // (4 * dim)))


def quantiser(dim: int, bits: int = 4) -> str:
    """The product quantiser's name in faiss's factory: the most parts that the dimension and ``CODE_BYTES`` allow.

    >>> quantiser(768), quantiser(768, bits=8), quantiser(100)
    ('PQ128x4fs', 'PQ64', 'PQ100x4fs')
    """
    most = min(8 * CODE_BYTES // bits, dim)
    parts = max(size for size in range(1, most + 1) if dim % size == 0)
    return f"PQ{parts}x4fs" if bits == 4 else f"PQ{parts}"


def on_gpu(index: Any) -> Any:
    """The index on the GPU, where faiss finds one that can hold it."""
    faiss = faiss_module()
    if not gpus():
        return index
    options = faiss.GpuClonerOptions()
    # Tables of float32 for codes of 64 bytes are larger than a GPU's shared memory.
    options.useFloat16 = True
    try:
        return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index, options)
    except RuntimeError:  # an index of 4-bit codes or with a graph, or too little memory
        return index


def gpus() -> int:
    """GPUs that this build of faiss can use."""
    return int(getattr(faiss_module(), "get_num_gpus", int)())


def build(keys: np.ndarray) -> Any:
    """A trained index that holds all keys; memory is bounded by the training sample and the codes.

    Args:
        keys: ``[count, dim]`` array or memory map.
    """
    faiss = faiss_module()
    count, dim = keys.shape
    nlist = lists(count, dim)
    # A GPU compares with every list in no time, and has no graphs.
    graph = "_HNSW32" if nlist >= GRAPH_FROM and not gpus() else ""
    index = faiss.index_factory(dim, f"IVF{nlist}{graph},{quantiser(dim, bits=8 if gpus() else 4)}")
    index.cp.seed = index.pq.cp.seed = SEED
    if hasattr(index, "do_polysemous_training"):
        index.do_polysemous_training = False  # for a search that is not used here; half a minute at any size
    for clustering in (index.cp, index.pq.cp):
        clustering.min_points_per_centroid = 1  # silences a warning about small datastores
    rows = np.sort(np.random.default_rng(SEED).choice(count, size=sample_size(count, dim), replace=False))
    index.train(np.ascontiguousarray(keys[rows], dtype=np.float32))
    add(index, keys)
    return index


def add(index: Any, keys: np.ndarray) -> None:
    """Add keys block by block; their ids follow the last one."""
    for start in range(0, len(keys), ADD_BLOCK):
        index.add(np.ascontiguousarray(keys[start : start + ADD_BLOCK], dtype=np.float32))


def write(index: Any, path: Path) -> None:
    faiss_module().write_index(index, str(path))
    with path.open("rb") as file:
        os.fsync(file.fileno())


def read(path: Path) -> Any:
    """Load an index.

    Raises:
        DetoxbenchError: where faiss cannot read it.
    """
    faiss = faiss_module()
    try:
        return faiss.read_index(str(path))
    except RuntimeError as error:
        raise DetoxbenchError(f"{path} is corrupted: faiss cannot read it") from error


class ApproximateSearch:
    """Searches an index; has the interface of ``ExactSearch``."""

    def __init__(self, index: Any):
        faiss_module().extract_index_ivf(index).nprobe = NPROBE
        self.index = on_gpu(index)

    def search(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """As ``ExactSearch.search``; where the lists looked into hold fewer than k keys, faiss gives the id -1:
        its distance is made infinite here, so that nothing counts it."""
        distances, ids = self.index.search(np.ascontiguousarray(queries.cpu().numpy(), dtype=np.float32), k)
        distances = np.where(ids < 0, np.inf, np.maximum(distances, 0.0)).astype(np.float32)
        return torch.from_numpy(distances).to(queries.device), torch.from_numpy(ids).to(queries.device)
