"""A datastore: hidden states of a model over a corpus, and the token that followed each (Khandelwal et al. 2020).

On disk: ``manifest.json``, ``keys.npy`` float16 ``[count, dim]``, ``values.npy`` int32 ``[count]`` and, for a large
one, ``index*.faiss``. The manifest is replaced last and at once, and names the count and every file: whatever it does
not name is not part of the datastore. Keys and values are hashed a part an append, so that growing costs what is added.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from ...core import files
from ...core.errors import DetoxbenchError
from .. import artifacts
from ..identity import ModelIdentity
from ..layers import key_dim, key_layer
from ..training import work
from . import arrays, index, temperature
from .exact import ExactSearch
from .knn import Neighbours

KIND = "datastore"
KEYS, VALUES = "keys.npy", "values.npy"
RECALL_K = 1024
RECALL_QUERIES = 64


class Datastore:
    """An opened datastore; make one with ``open`` or ``from_arrays``.

    Attributes:
        path: its folder.
        identity: of the model that the keys are from.
        layer: the module that the keys are the input of; None for the architecture's own.
        manifest: the content of ``manifest.json``.
        count, dim: keys, and their length.
        keys, values: memory maps ``[count, dim]`` float16 and ``[count]`` int32.
    """

    def __init__(self, path: Path, manifest: dict[str, Any], *, exact: bool = False):
        self.path = path
        self.exact = exact
        self._read(manifest)

    def _read(self, manifest: dict[str, Any]) -> None:
        path = self.path
        self.manifest = manifest
        self.identity = ModelIdentity(**manifest["model"])
        self.layer: str | None = manifest["layer"]
        self.count: int = manifest["count"]
        self.dim: int = manifest["dim"]
        self.keys = arrays.open_rows(path / KEYS, "float16", (self.count, self.dim))
        self.values = arrays.open_rows(path / VALUES, "int32", (self.count,))

    @classmethod
    def open(cls, path: str | Path | Datastore, *, exact: bool = False) -> Datastore:
        """Open by memory map, after comparing every file with its sha256 (large ones once, see ``artifacts.Stamps``).

        Args:
            path: folder; an opened datastore is returned as it is.
            exact: search exactly, even where there is an index.

        Raises:
            DetoxbenchError: naming the file that is missing, corrupted or of another kind.
        """
        if isinstance(path, Datastore):
            return path if path.exact == exact else cls(path.path, path.manifest, exact=exact)
        path = Path(path)
        manifest = artifacts.read(path, KIND)
        try:
            _verify(path, manifest)
            return cls(path, manifest, exact=exact)
        except (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError) as error:
            if isinstance(error, DetoxbenchError):
                raise
            cause = " ".join(str(error).split())[:120] or type(error).__name__
            raise DetoxbenchError(f"{path / artifacts.MANIFEST} is incomplete: {cause}") from error

    @classmethod
    def from_arrays(
        cls,
        path: str | Path,
        keys: np.ndarray,
        values: np.ndarray,
        *,
        model: PreTrainedModel | ModelIdentity | str,
        exact: bool = False,
        layer: str | None = None,
        trained: Mapping[str, Any] | None = None,
    ) -> Datastore:
        """Write a datastore, all or nothing.

        Args:
            path: folder; must not exist, or be empty.
            keys: ``[count, dim]`` array or memory map; read block by block.
            values: ``[count]`` token ids.
            model: that the keys were read from; a name alone is checked less.
            exact: never build an approximate index, whatever the size.
            layer: module that the keys are the input of; by default the architecture's (see ``layers``).
            trained: what these keys were made from, kept in the manifest.

        Raises:
            DetoxbenchError: for arrays that do not fit together, values outside the vocabulary, or a folder in use.
        """
        identity = ModelIdentity.of(model)
        if layer is None and isinstance(model, PreTrainedModel):
            layer = key_layer(model)
        _check_arrays(keys, values, identity.vocab_size)
        path = Path(path)
        with files.new_folder(path) as partial:
            manifest = {
                "schema": artifacts.SCHEMA,
                "kind": KIND,
                "model": identity.model_dump(),
                "layer": layer,
                "dim": keys.shape[1],
                "count": 0,
                "dtype": "float16",
                "exact": exact,
                "index": None,
                "recall": None,
                "parts": [],
            }
            _grow(partial, manifest, keys, values, trained, retrain=False)
        return cls.open(path)

    def append(
        self,
        keys: np.ndarray,
        values: np.ndarray,
        *,
        retrain: bool = False,
        trained: Mapping[str, Any] | None = None,
    ) -> None:
        """Grow by more keys: the index learns them, but is not trained again unless asked. Interrupted, the datastore
        is what it was. Not for two writers at once.

        Args:
            keys: ``[new, dim]``.
            values: ``[new]``.
            retrain: train the index anew on all keys.
            trained: what these keys were made from, kept in the manifest.

        Raises:
            DetoxbenchError: as ``from_arrays``, or for another dimension.
        """
        _check_arrays(keys, values, self.manifest["model"]["vocab_size"])
        if keys.shape[1] != self.dim:
            raise DetoxbenchError(f"datastore {self.path} has keys of dimension {self.dim}, not {keys.shape[1]}")
        manifest = {**self.manifest, "parts": list(self.manifest["parts"])}
        _grow(self.path, manifest, keys, values, trained, retrain=retrain)
        self.__dict__.pop("_search", None)
        self._read(manifest)

    @cached_property
    def _search(self) -> ExactSearch | index.ApproximateSearch:
        if self.exact or self.manifest["index"] is None:
            return ExactSearch(self.keys)
        return index.ApproximateSearch(index.read(self.path / self.manifest["index"]["file"]))

    def search(self, queries: Tensor, k: int) -> Neighbours:
        """The k nearest keys of each query.

        Args:
            queries: ``[rows, dim]`` in any precision; compared in float32 with the float16 keys.
            k: at most ``count``.

        Raises:
            DetoxbenchError: for a k larger than that.
        """
        if k > self.count:
            raise DetoxbenchError(f"k={k}, but datastore {self.path} has {self.count} keys: k must be at most that")
        distances, ids = self._search.search(queries.detach().float(), k)
        tokens = torch.from_numpy(self.values[ids.clamp(min=0).cpu().numpy()].astype(np.int64)).to(queries.device)
        return Neighbours(distances, tokens.masked_fill_(ids < 0, 0), ids)

    def check(self, model: PreTrainedModel, layer: str, k: int, purpose: str) -> None:
        """Refuse to be used with a model that the keys are not from.

        Args:
            model: the base model.
            layer: the module that queries are read from.
            k: neighbours wanted.
            purpose: what the datastore is for, for messages ("toxic datastore").

        Raises:
            DetoxbenchError: naming what differs.
        """
        name = f"{purpose} {self.path}"
        stored, present = self.identity, ModelIdentity.before_edits(model)
        difference = stored.difference(present)
        if difference is None and stored.vocab_size is None and int(self.values.max()) >= (present.vocab_size or 0):
            difference = f"a token id of {int(self.values.max())}, with {present.vocab_size} tokens in the vocabulary"
        if difference:
            raise DetoxbenchError(
                f"{name} was made with another model ('{stored.name}') than '{present.name}': {difference}; "
                "fit one for this model"
            )
        if (made_from := self.layer or key_layer(model)) != layer:
            raise DetoxbenchError(f"{name} was made from layer {made_from}, not {layer}")
        if self.dim != (dim := key_dim(model, layer)):
            raise DetoxbenchError(f"{name} has keys of dimension {self.dim}, the model's are of dimension {dim}")
        if k > self.count:
            raise DetoxbenchError(f"k={k}, but {name} has {self.count} keys: k must be at most that")

    def warn_if_flat(self, k: int, wanted: float, purpose: str) -> None:
        """Warn where the k neighbours weigh about the same at a temperature; see ``temperature``."""
        temperature.warn_if_flat(self.manifest.get("neighbours"), k, wanted, f"{purpose} {self.path}")


def layer_of(model: PreTrainedModel, name: str | None, stores: Iterable[Datastore]) -> str:
    """The key layer for these datastores: as given, else the one that they remember, else the architecture's."""
    remembered = next((store.layer for store in stores if store.layer), None)
    if name is None and remembered in dict(model.named_modules()):
        return str(remembered)
    return key_layer(model, name)  # the datastore of another model is refused for that reason, later


def _check_arrays(keys: np.ndarray, values: np.ndarray, vocab: int | None) -> None:
    if keys.ndim != 2 or values.shape != (len(keys),) or not keys.size:
        raise DetoxbenchError(
            f"keys and values have shapes {list(keys.shape)} and {list(values.shape)}; they must be [count, dim] and "
            "[count], with at least one key"
        )
    low, high = int(values.min()), int(values.max())
    if low < 0 or (vocab is not None and high >= vocab):
        raise DetoxbenchError(f"values hold token ids from {low} to {high}; the vocabulary has 0 to {(vocab or 0) - 1}")


def _grow(
    folder: Path,
    manifest: dict[str, Any],
    keys: np.ndarray,
    values: np.ndarray,
    trained: Mapping[str, Any] | None,
    retrain: bool,
) -> None:
    """Add rows, then the index, then the manifest that makes them count."""
    start = manifest["count"]
    part: dict[str, Any] = {"count": len(keys)}
    if trained:
        part["trained"] = dict(trained)
    part["keys_sha256"] = arrays.append(folder / KEYS, keys, "float16", start)
    part["values_sha256"] = arrays.append(folder / VALUES, values, "int32", start)
    manifest["count"] = count = start + len(keys)
    manifest["parts"].append(part)
    stored = arrays.open_rows(folder / KEYS, "float16", (count, manifest["dim"]))
    old, built = manifest["index"], None
    if not manifest["exact"] and count >= index.EXACT_BELOW:
        if old is None or retrain:
            work.say(f"training the search index of {count:,} keys (seconds to minutes)")
            built, trained = index.build(stored), count
        else:
            built, trained = index.read(folder / old["file"]), old["trained_on"]
            index.add(built, stored[start:])
        file = folder / f"index-{count}.faiss"
        index.write(built, file)
        manifest["index"] = {
            "kind": "ivf_pq",
            "file": file.name,
            "sha256": files.sha256(file),
            "nlist": built.nlist,
            "nprobe": index.NPROBE,
            "code_bytes": built.pq.code_size,
            "trained_on": trained,
        }
        work.say("measuring how many true neighbours the index finds, and how far they lie")
        manifest["recall"] = recall(stored, index.ApproximateSearch(built))
    search = ExactSearch(stored) if built is None else index.ApproximateSearch(built)
    manifest["neighbours"] = temperature.measure(
        stored, arrays.open_rows(folder / VALUES, "int32", (count,)), search.search, index.SEED
    )
    files.write_json(folder / artifacts.MANIFEST, manifest)
    if old and manifest["index"] and old["file"] != manifest["index"]["file"]:
        with contextlib.suppress(OSError):
            (folder / old["file"]).unlink()


def recall(keys: np.ndarray, search: index.ApproximateSearch) -> dict[str, Any]:
    """The share of the true k nearest keys that an index finds, for keys drawn as queries."""
    k = min(RECALL_K, len(keys))
    rows = np.sort(
        np.random.default_rng(index.SEED).choice(len(keys), size=min(RECALL_QUERIES, len(keys)), replace=False)
    )
    queries = torch.from_numpy(np.asarray(keys[rows], dtype=np.float32))
    truth, found = ExactSearch(keys).search(queries, k)[1].numpy(), search.search(queries, k)[1].numpy()
    shares = [len(np.intersect1d(a, b[b >= 0])) / k for a, b in zip(truth, found, strict=True)]
    return {"k": k, "value": float(np.mean(shares)), "queries": len(rows)}


def _verify(path: Path, manifest: dict[str, Any]) -> None:
    stamps = artifacts.Stamps(path)
    for name, row_bytes in ((KEYS, 2 * manifest["dim"]), (VALUES, 4)):
        file, field = path / name, f"{name.removesuffix('.npy')}_sha256"
        artifacts.exists(file)

        def check(file: Path = file, row_bytes: int = row_bytes, field: str = field) -> None:
            start = arrays.HEADER
            for part in manifest["parts"]:
                length = part["count"] * row_bytes
                artifacts.same(file, part[field], files.sha256(file, start, length))
                start += length

        stamps.run(file, manifest["parts"][-1][field], check)
    if manifest["index"]:
        file, expected = path / manifest["index"]["file"], manifest["index"]["sha256"]
        artifacts.exists(file)
        stamps.run(file, expected, lambda: artifacts.same(file, expected, files.sha256(file)))
    stamps.save()
