"""Datastores for Goodtriever and kNN-LM: one forward pass over a corpus, its key-layer states and the next tokens."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...core import files
from ...core.errors import DetoxbenchError
from ...core.parsing import parse_json
from .. import artifacts
from ..layers import capture_input, key_dim, key_layer
from ..training import work
from ..training.texts import SIDES, Text, Texts
from .datastore import KIND, Datastore

CPU_BATCH_TOKENS, GPU_BATCH_TOKENS = 4096, 65_536
WINDOW = 4
"""Batches whose texts are sorted by length together, so that little is padding."""


def fit(
    pretrained: str,
    out: str | Path,
    *,
    toxic: Texts | None = None,
    nontoxic: Texts | None = None,
    append: bool = False,
    exact: bool = False,
    retrain: bool = False,
    layer: str | None = None,
    max_length: int | None = None,
    batch_tokens: int | None = None,
    revision: str | None = None,
    device: str | None = None,
) -> dict[str, Datastore]:
    """Build or grow ``OUT/toxic`` and ``OUT/nontoxic``.

    Args:
        pretrained: base model: folder, hub name or ``mini``.
        out: folder of both.
        toxic, nontoxic: texts; one may be left out.
        append: grow datastores that are there (continual mitigation, one language at a time, …). Texts that were
            appended before, the same in the same order, are not appended twice.
        exact: no approximate index, whatever the size.
        retrain: with ``append``: train the approximate index anew.
        layer: module whose input is the key; by default the architecture's.
        max_length: tokens of a row; longer texts become several rows. By default the model's positions.
        batch_tokens: of a forward pass; memory is bounded by it, and results do not depend on it.
        revision, device: of the base model.

    Returns:
        Side -> its opened datastore.

    Raises:
        DetoxbenchError: where nothing is given, an output exists (without ``append``) or does not fit the model.
    """
    given = {side: texts for side, texts in zip(SIDES, (toxic, nontoxic), strict=True) if texts is not None}
    if not given:
        raise DetoxbenchError("nothing to fit on: give --toxic or --nontoxic texts, or both")
    model, tokenizer = work.load_base(pretrained, revision=revision, device=device)
    out = Path(out)
    with work.locked(out):
        for side, texts in given.items():
            source = StoreSource(model, tokenizer, texts, layer=layer, max_length=max_length, batch_tokens=batch_tokens)
            fit_store(source, out, side, append=append, exact=exact, retrain=retrain)
    return {side: Datastore.open(out / side) for side in given}


class StoreSource:
    """The keys and values of texts under a model; see ``fit`` for the arguments."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        texts: Texts,
        *,
        layer: str | None = None,
        max_length: int | None = None,
        batch_tokens: int | None = None,
    ):
        self.model, self.tokenizer, self.texts = model, tokenizer, texts
        self.layer = key_layer(model, layer)
        self.dim = key_dim(model, self.layer)
        self.max_length = work.max_positions(model, max_length)
        self.batch_tokens = batch_tokens or (CPU_BATCH_TOKENS if model.device.type == "cpu" else GPU_BATCH_TOKENS)

    def settings(self) -> dict[str, Any]:
        """All that keys and values depend on."""
        return {
            "base": work.base_record(self.model),
            "layer": self.layer,
            "max_length": self.max_length,
            "data": self.texts.record(),
        }

    def windows(self, skip: int = 0) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Texts read, keys float16 ``[new, dim]`` and values int32 ``[new]``, a window of texts at a time.

        Args:
            skip: texts that are done already.
        """
        for texts in _windows(itertools.islice(self.texts, skip, None), WINDOW * self.batch_tokens):
            rows = encode_rows(self.tokenizer, texts, self.max_length)
            keys, values = keys_and_values(self.model, self.layer, rows, self.batch_tokens)
            yield len(texts), keys, values


def fit_store(
    source: StoreSource, out: Path, side: str, *, append: bool = False, exact: bool = False, retrain: bool = False
) -> Datastore:
    """Build or grow one datastore, ``OUT/SIDE``; see ``fit``."""
    path, settings = out / side, source.settings()
    exists = path.is_dir() and any(path.iterdir())
    if exists:
        done = [part.get("trained", {}).get("fingerprint") for part in artifacts.read(path, KIND)["parts"]]
        if files.fingerprint(settings) in done:
            work.discard(out, side)  # killed between the last two steps
            return Datastore.open(path)
        if not append:
            raise DetoxbenchError(
                f"{path} exists already, made from other data or settings: --append to grow it, or choose another --out"
            )
    old = None
    if exists:
        old = Datastore.open(path)
        old.check(source.model, source.layer, 1, f"{side} datastore")
    with work.work_folder(out, side, settings) as folder:
        keys, values = _collect(source, folder, side)
        facts = work.trained(settings)
        if old is None:
            return Datastore.from_arrays(
                path, keys, values, model=source.model, exact=exact, layer=source.layer, trained=facts
            )
        old.append(keys, values, retrain=retrain, trained=facts)
    return old


def _collect(source: StoreSource, folder: Path, side: str) -> tuple[np.ndarray, np.ndarray]:
    """Run all texts through the model; rows go to disk as they come, and count once ``progress.json`` says so."""
    progress = folder / "progress.json"
    done = parse_json(progress.read_text()) if progress.is_file() else {"texts": 0, "keys": 0}
    paths = {"keys": folder / "keys.bin", "values": folder / "values.bin"}
    sizes = {"keys": 2 * source.dim, "values": 4}
    with (
        _open_at(paths["keys"], sizes["keys"] * done["keys"]) as keys_file,
        _open_at(paths["values"], sizes["values"] * done["keys"]) as values_file,
        work.bar(total=len(source.texts), initial=done["texts"], desc=f"{side} datastore", unit="text") as bar,
    ):
        for count, keys, values in source.windows(done["texts"]):
            for file, rows in ((keys_file, keys), (values_file, values)):
                file.write(rows.tobytes())
                file.flush()
                os.fsync(file.fileno())
            done = {"texts": done["texts"] + count, "keys": done["keys"] + len(keys)}
            files.write_json(progress, done)
            bar.set_postfix_str(f"{done['keys']:,} keys", refresh=False)
            bar.update(count)
    if not done["keys"]:
        raise DetoxbenchError(f"the {side} texts have no two tokens in a row: nothing to store")
    shape = (done["keys"], source.dim)
    return np.memmap(paths["keys"], np.float16, "r", shape=shape), np.memmap(paths["values"], np.int32, "r")


def _open_at(path: Path, size: int):
    """A file for writing from an offset on; whatever lay behind it was not finished."""
    file = path.open("r+b" if path.exists() else "w+b")
    file.truncate(size)
    file.seek(size)
    return file


def _windows(texts: Iterable[Text], characters: int) -> Iterator[list[str]]:
    """Lists of texts of about so many characters together, at least one text each."""
    window: list[str] = []
    size = 0
    for text in texts:
        window.append(text.text)
        size += len(text.text)
        if size >= characters:
            yield window
            window, size = [], 0
    if window:
        yield window


def encode_rows(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int) -> list[list[int]]:
    """Token rows: each text, then the end token where the tokenizer has one, since the end follows something too. A
    long one is cut into rows that overlap by one token, so that every token but the first is some key's value."""
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    rows = []
    for ids in tokenizer(list(texts), verbose=False)["input_ids"]:
        ids = [*ids, *end] if ids[-1:] != end else list(ids)
        rows += [ids[start : start + max_length] for start in range(0, max(len(ids) - 1, 1), max_length - 1)]
    return rows


@torch.inference_mode()
def keys_and_values(
    model: PreTrainedModel, layer: str, rows: Sequence[Sequence[int]], batch_tokens: int
) -> tuple[np.ndarray, np.ndarray]:
    """The key-layer state at every position but the last of each row, and the token that follows it.

    Args:
        model: a causal LM; only its body runs.
        layer: the module whose input is the key.
        rows: token ids, at most the model's positions each.
        batch_tokens: bound on rows x positions of a forward pass.

    Returns:
        float16 ``[new, dim]`` and int32 ``[new]``, in the order of the rows.
    """
    starts = np.concatenate([[0], np.cumsum([max(len(row) - 1, 0) for row in rows])])
    values = np.concatenate([np.asarray(row[1:], dtype=np.int32) for row in rows])
    keys: np.ndarray | None = None
    order = sorted((at for at, row in enumerate(rows) if len(row) > 1), key=lambda at: (len(rows[at]), at))
    while order:
        longest = len(rows[order[-1]])
        batch, order = order[-max(1, batch_tokens // longest) :], order[: -max(1, batch_tokens // longest)]
        states = _states(model, layer, [rows[at] for at in batch], longest)
        if keys is None:
            keys = np.empty((starts[-1], states.shape[-1]), dtype=np.float16)
        for row, at in zip(states, batch, strict=True):
            count = len(rows[at]) - 1
            keys[starts[at] : starts[at] + count] = row[:count].numpy()
    if keys is None:
        keys = np.empty((0, key_dim(model, layer)), dtype=np.float16)
    return keys, values


def _states(model: PreTrainedModel, layer: str, rows: Sequence[Sequence[int]], width: int) -> Tensor:
    """Float16 ``[rows, width, dim]`` on the CPU, of right-padded rows."""
    ids = torch.zeros(len(rows), width, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for at, row in enumerate(rows):
        ids[at, : len(row)] = torch.as_tensor(list(row))
        mask[at, : len(row)] = 1
    with capture_input(model.get_submodule(layer)) as captured:
        # The body alone: the scores of the vocabulary cost more than it, and nobody reads them.
        model.base_model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device), use_cache=False)
    if captured.states is None:
        raise DetoxbenchError(f"key_layer={layer}: this module is not called when the model runs")
    states = captured.states.reshape(len(rows), width, -1).float().cpu()
    # A state beyond float16 becomes infinite here; the datastore refuses it, naming the row.
    return states.half()
