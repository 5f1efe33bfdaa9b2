"""Goodtriever's raw memory maps become datastores of ours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from ...core.errors import DetoxbenchError
from .. import settings
from ..declaration import Importer
from ..identity import ModelIdentity
from ..loading import load_model
from ..retrieval.datastore import Datastore

KEYS_NAME = re.compile(r"dstore_(?P<model>.+)_(?P<count>\d+)_(?P<dim>\d+)_keys\.npy")


class Settings(settings.Settings):
    """Of the import."""

    store: str | None = Field(None, description="dstore_MODEL_COUNT_DIM, where the folder holds several")
    pretrained: str | None = Field(None, description="the base model, to record its weights; default: its name")
    exact: bool = Field(False, description="never build an approximate index")


@dataclass(frozen=True)
class RawStore:
    """A pair of Goodtriever's files: ``dstore_{model}_{count}_{dim}_keys.npy`` float16 ``[count, dim]`` and
    ``…_vals.npy`` int32 ``[count]``, both without a header."""

    model: str
    count: int
    dim: int
    keys: Path
    values: Path

    @property
    def name(self) -> str:
        return self.keys.name.removesuffix("_keys.npy")


def raw_stores(folder: str | Path) -> list[RawStore]:
    """Every pair of files in a folder; the size of each is read from its own name.

    Raises:
        DetoxbenchError: for a folder without any, a file without its partner, or one of another size than its name.
    """
    folder = Path(folder)
    stores = []
    for keys in sorted(folder.glob("dstore_*_keys.npy")):
        match = KEYS_NAME.fullmatch(keys.name)
        if match is None:
            raise DetoxbenchError(f"{keys} is not named dstore_MODEL_COUNT_DIM_keys.npy")
        values = keys.with_name(keys.name.removesuffix("_keys.npy") + "_vals.npy")
        count, dim = int(match["count"]), int(match["dim"])
        for path, size in ((keys, 2 * count * dim), (values, 4 * count)):
            if not path.is_file():
                raise DetoxbenchError(f"{path} is missing beside {keys.name}")
            if path.stat().st_size != size:
                raise DetoxbenchError(f"{path} has {path.stat().st_size} bytes; by its name it must have {size}")
        stores.append(RawStore(match["model"], count, dim, keys, values))
    if not stores:
        raise DetoxbenchError(f"{folder} holds no dstore_MODEL_COUNT_DIM_keys.npy")
    return stores


def import_goodtriever(
    folder: str | Path, out: str | Path, *, store: str | None = None, model: Any = None, exact: bool = False
) -> Datastore:
    """Turn one of Goodtriever's datastores into ours.

    Args:
        folder: theirs.
        out: ours; must not exist, or be empty.
        store: ``dstore_MODEL_COUNT_DIM`` where the folder holds several.
        model: the loaded base model, checked more strictly; by default the name in the file name.
        exact: never build an approximate index.

    Raises:
        DetoxbenchError: see ``raw_stores``; or where it is not clear which one is meant.
    """
    stores = {raw.name: raw for raw in raw_stores(folder)}
    if store is None and len(stores) > 1:
        raise DetoxbenchError(f"{folder} holds several datastores: name one, store={' or '.join(stores)}")
    raw = stores.get(store or next(iter(stores)))
    if raw is None:
        raise DetoxbenchError(f"{folder} holds no {store}; it holds {', '.join(stores)}")
    keys = np.memmap(raw.keys, dtype=np.float16, mode="r", shape=(raw.count, raw.dim))
    values = np.memmap(raw.values, dtype=np.int32, mode="r", shape=(raw.count,))
    return Datastore.from_arrays(out, keys, values, model=ModelIdentity.of(model or raw.model), exact=exact)


def run(folder: Path, out: Path, settings: Settings) -> str:
    """Import, and say in a line what came in (``import_goodtriever``)."""
    model = load_model(settings.pretrained, "base model", dtype="auto") if settings.pretrained else None
    made = import_goodtriever(folder, out, store=settings.store, model=model, exact=settings.exact)
    return f"{out}: {made.count:,} keys of dimension {made.dim}, made with '{made.manifest['model']['name']}'"


IMPORTER = Importer(
    "A datastore from Goodtriever's raw memory maps, dstore_MODEL_COUNT_DIM_keys.npy and …_vals.npy.", run, Settings
)
