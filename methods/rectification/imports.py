"""Rectification's checkpoint, a GPT-2 body and ``ilql_heads``, becomes a value model of ours."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import Field
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoConfig, GPT2Config, GPT2Model

from ...core.errors import DetoxbenchError
from .. import settings
from ..declaration import Importer
from ..loading import LOAD_ERRORS
from .value_model import ValueModel, q_head

HEAD_DIM = 64
"""Of every published GPT-2; the number of heads cannot be seen in the weights."""


class Settings(settings.Settings):
    """Of the import."""

    heads: int | None = Field(None, ge=1, description="attention heads, where there is no config.json")


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


def run(folder: Path, out: Path, settings: Settings) -> str:
    """Import, and say in a line what came in (``import_rectification``)."""
    made = import_rectification(folder, out, heads=settings.heads)
    return f"{out}: a value model of {made.head[2].out_features:,} tokens and dimension {made.head[0].in_features}"


IMPORTER = Importer("A value model from rectification's checkpoint: a GPT-2 body and ilql_heads.", run, Settings)
