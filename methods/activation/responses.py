"""Responses of texts: hidden states at named places, pooled over a text's positions, in files that survive a kill."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...core import files
from ...core.errors import DetoxbenchError
from ..base import Place
from ..training import work
from .hooks import hooked

Pool = Callable[[Tensor, Tensor], Tensor]
"""States ``[batch, pos, dim]`` and mask ``[batch, pos]`` (True: a token of the text) to ``[batch, dim]``."""
CHUNK = 256
"""Texts of a file."""
Some = TypeVar("Some")


def highest(states: Tensor, mask: Tensor) -> Tensor:
    """The maximum over a text's positions."""
    return states.masked_fill(~mask.unsqueeze(-1), -torch.inf).amax(1)


def mean(states: Tensor, mask: Tensor) -> Tensor:
    """The mean over a text's positions."""
    return states.masked_fill(~mask.unsqueeze(-1), 0.0).sum(1) / mask.sum(1, keepdim=True)


def last(positions: int) -> Pool:
    """The mean over a text's last positions; over all of a shorter text."""

    def pool(states: Tensor, mask: Tensor) -> Tensor:
        left = mask.flip(1).cumsum(1).flip(1)
        return mean(states, mask & (left <= positions))

    return pool


def encode(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], length: int) -> list[list[int]]:
    """Token ids of texts, the first ``length`` of each; one of no tokens becomes the token that ends texts.

    Raises:
        DetoxbenchError: for a text of no tokens where the tokenizer has no such token.
    """
    rows = []
    for text in texts:
        ids = tokenizer(text)["input_ids"][:length]
        if not ids:
            if tokenizer.eos_token_id is None:
                raise DetoxbenchError(f"the tokenizer makes no token of {text!r}, and has none that ends a text")
            ids = [tokenizer.eos_token_id]
        rows.append(list(ids))
    return rows


def chosen(texts: Iterable[Some], count: int, seed: int) -> list[Some]:
    """So many texts at random, but always the same; all where there are no more."""
    found = list(texts)
    if count >= len(found):
        return found
    return [found[at] for at in sorted(random.Random(seed).sample(range(len(found)), count))]


class Responses:
    """Pooled states of rows of tokens, made once and kept in a folder.

    Args:
        folder: for the files; what is there already is not made again.
        rows: token ids.
    """

    def __init__(self, folder: Path, rows: Sequence[Sequence[int]]):
        self.folder, self.rows = folder, rows
        self.order = sorted(range(len(rows)), key=lambda at: len(rows[at]))
        """Rows of one length side by side, so that little is padded."""
        self.place_of = torch.tensor(self.order).argsort()

    @property
    def chunks(self) -> list[Path]:
        return [self.folder / f"{at:05d}.safetensors" for at in range(-(-len(self.rows) // CHUNK))]

    @torch.no_grad()
    def make(
        self,
        model: PreTrainedModel,
        places: Mapping[str, Place],
        pool: Pool,
        batch_size: int,
        steered: Callable[[], AbstractContextManager] = nullcontext,
        stop: bool = False,
    ) -> Responses:
        """Run the model over the rows.

        Args:
            places: name -> where; each has to be met once a run.
            pool: over the positions of a row.
            batch_size: rows of a forward pass.
            steered: context within which the model runs.
            stop: stop a pass once all places are met, instead of running to the scores.
        """

        def states_of(rows: list[Sequence[int]]) -> dict[str, Tensor]:
            with steered():
                return pooled(model, rows, places, pool, stop)

        with work.bar(total=len(self.rows), desc=f"states of {self.folder.name}", unit="text") as bar:
            for at, path in enumerate(self.chunks):
                part = self.order[at * CHUNK : (at + 1) * CHUNK]
                if path.is_file():
                    bar.update(len(part))
                    continue
                found: dict[str, list[Tensor]] = {name: [] for name in places}
                for start in range(0, len(part), batch_size):
                    rows = [self.rows[row] for row in part[start : start + batch_size]]
                    for name, states in states_of(rows).items():
                        found[name].append(states)
                    bar.update(len(rows))
                if lacking := [name for name, states in found.items() if not states]:
                    raise DetoxbenchError(f"{lacking[0]} is not called when the model runs: it cannot be changed")
                content = {name: torch.cat(states).contiguous() for name, states in found.items()}
                files.write_bytes(path, save(content))
        return self

    def at(self, place: str) -> Tensor:
        """Float32 ``[rows, dim]``, in the order of the rows."""
        parts = []
        for path in self.chunks:
            with safe_open(path, "pt") as file:
                parts.append(file.get_tensor(place))
        return torch.cat(parts)[self.place_of]


def pooled(
    model: PreTrainedModel, rows: Sequence[Sequence[int]], places: Mapping[str, Place], pool: Pool, stop: bool = False
) -> dict[str, Tensor]:
    """Pooled states of one batch: place's name -> float32 ``[rows, dim]`` on the CPU.

    Rows are padded on the right, where a causal model does not look.
    """
    longest = max(map(len, rows))
    ids = torch.zeros(len(rows), longest, dtype=torch.int64)
    mask = torch.zeros(len(rows), longest, dtype=torch.bool)
    for at, row in enumerate(rows):
        ids[at, : len(row)] = torch.as_tensor(list(row))
        mask[at, : len(row)] = True
    found: dict[str, Tensor] = {}

    def keep(name: str, states: Tensor) -> None:
        states = states.reshape(len(rows), -1, states.shape[-1])  # some models join batch and positions
        if states.shape[1] != longest:
            raise DetoxbenchError(f"{name} has {states.shape[1]} states for {longest} tokens, not one each")
        found[name] = pool(states.float(), mask.to(states.device)).cpu()
        if stop and len(found) == len(places):
            raise _Met

    def change(name: str) -> Callable[[Tensor], None]:
        return lambda states: keep(name, states)

    with hooked(model, {place: change(name) for name, place in places.items()}), suppress(_Met):
        model(input_ids=ids.to(model.device), attention_mask=mask.long().to(model.device), use_cache=False)
    return found


class _Met(Exception):
    """All places are met; the rest of the pass is not needed."""
