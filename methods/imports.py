"""The authors' own artifacts: Goodtriever's raw memory maps and rectification's value model become ours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoConfig, GPT2Config, GPT2Model

from ..core.errors import DetoxbenchError
from .identity import ModelIdentity
from .loading import LOAD_ERRORS
from .rectification.value_model import ValueModel, q_head
from .retrieval.datastore import Datastore

KEYS_NAME = re.compile(r"dstore_(?P<model>.+)_(?P<count>\d+)_(?P<dim>\d+)_keys\.npy")
HEAD_DIM = 64
"""Of every published GPT-2; the number of heads cannot be seen in the weights."""


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


def import_rectification(folder: str | Path, out: str | Path, *, heads: int | None = None) -> ValueModel:
    """Turn rectification's checkpoint (a GPT-2 body and ``ilql_heads``) into our value model.

    Args:
        folder: theirs: ``*.safetensors``, or a torch file, which is read without unpickling objects; with
            ``config.json`` where it was kept.
        out: ours; must not exist, or be empty.
        heads: attention heads of the body, where there is no ``config.json``; by default of 64 dimensions each.

    Raises:
        DetoxbenchError: for a folder without such a checkpoint.
    """
    folder = Path(folder)
    state = _state(folder)
    body = {name.removeprefix("transformer."): state[name] for name in state if name.startswith("transformer.")}
    q_names = [name for name in state if name.startswith("ilql_heads.q_heads.")]
    if not body or not q_names:
        raise DetoxbenchError(f"{folder} has no parameters transformer.* and ilql_heads.q_heads.*: not rectification's")
    if any(not name.startswith("ilql_heads.q_heads.0.") for name in q_names):
        raise DetoxbenchError(f"{folder} has several Q heads; only checkpoints with one are read")
    vocab, dim = state["ilql_heads.q_heads.0.3.weight"].shape[0], state["ilql_heads.q_heads.0.0.weight"].shape[1]
    config = AutoConfig.from_pretrained(folder) if (folder / "config.json").is_file() else _config(body, heads)
    try:
        model = GPT2Model(config)
        # Attention masks were stored as buffers by old versions of transformers.
        body = {name: tensor for name, tensor in body.items() if not name.endswith((".attn.bias", ".attn.masked_bias"))}
        model.load_state_dict(body)
        head = q_head(dim, vocab)
        theirs = {"0": "ilql_heads.q_heads.0.0", "2": "ilql_heads.q_heads.0.3"}  # theirs has a dropout between
        head.load_state_dict(
            {f"{k}.{p}": state[f"{name}.{p}"] for k, name in theirs.items() for p in ("weight", "bias")}
        )
    except (RuntimeError, KeyError) as error:
        raise DetoxbenchError(f"{folder}: {str(error).splitlines()[0]}") from error
    ValueModel(model, head).save(out, trained={"imported_from": folder.name})
    return ValueModel.load(out)


def _state(folder: Path) -> dict[str, Tensor]:
    """All parameters of the checkpoint in a folder; safetensors are preferred."""
    for pattern, load in (("*.safetensors", load_file), ("*.bin", _torch), ("*.pt", _torch), ("*.pth", _torch)):
        files = sorted(folder.glob(pattern))
        if files:
            try:
                return {name: tensor for file in files for name, tensor in load(file).items()}
            except LOAD_ERRORS as error:
                raise DetoxbenchError(f"{folder} cannot be read: {str(error).splitlines()[0]}") from error
    raise DetoxbenchError(f"{folder} holds no *.safetensors, *.bin, *.pt or *.pth")


def _torch(file: Path) -> dict[str, Tensor]:
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises the pickle module's own errors
        raise DetoxbenchError(
            f"{file} cannot be read without unpickling objects, which is never done: save it as safetensors"
        ) from error
    return {name: tensor for name, tensor in loaded.items() if isinstance(tensor, Tensor)}


def _config(body: dict[str, Tensor], heads: int | None) -> GPT2Config:
    """A GPT-2 of the parameters' shapes."""
    (vocab, dim), positions = body["wte.weight"].shape, body["wpe.weight"].shape[0]
    layers = 1 + max(int(name.split(".")[1]) for name in body if name.startswith("h."))
    return GPT2Config(
        vocab_size=vocab, n_positions=positions, n_embd=dim, n_layer=layers, n_head=heads or max(1, dim // HEAD_DIM)
    )
