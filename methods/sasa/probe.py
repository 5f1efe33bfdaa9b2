"""A linear probe of a model's last hidden states: how far a text lies on the harmless side (Ko et al. 2025)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...core import files
from ...core.errors import DetoxbenchError
from ...core.files import replacing
from ...core.parsing import parse_json
from .. import artifacts
from ..guidance.body import split
from ..training import work
from ..training.texts import Texts
from .settings import Settings

KIND = "probe"
FILE = "probe.safetensors"
CHUNK = 512
"""Texts between two checkpoints; within a chunk they are read in the order of their lengths."""
JUDGED = 512
"""Held-out texts of each side, at most."""
SMALLEST = 1e-6
"""Variance, below which a direction of the states counts as one that they do not have."""
DEFAULTS = Settings()
SIDES = ("nontoxic", "toxic")


@dataclass(frozen=True)
class Probe:
    """Args:
    direction: of unit length, from the toxic to the harmless states, float32 ``[dim]``.
    midpoint: between their means ``[dim]``.
    """

    direction: Tensor
    midpoint: Tensor

    def margin(self, states: Tensor) -> Tensor:
        """Signed distance from the boundary, positive on the harmless side: ``[..., dim]`` to float32 ``[...]``."""
        direction, midpoint = self.direction.to(states.device), self.midpoint.to(states.device)
        return (states.float() - midpoint) @ direction

    def save(self, folder: Path, *, trained: Mapping[str, Any] | None = None) -> None:
        """Safetensors and a manifest; all or nothing."""
        with files.new_folder(folder) as partial:
            save_file(
                {"direction": self.direction.contiguous(), "midpoint": self.midpoint.contiguous()}, partial / FILE
            )
            artifacts.write_manifest(partial, KIND, dim=len(self.direction), trained=dict(trained or {}))

    @classmethod
    def load(cls, folder: str | Path) -> Probe:
        """A saved one.

        Raises:
            DetoxbenchError: where a file is missing or corrupted, or the folder holds something else.
        """
        folder = Path(folder)
        artifacts.verify(folder, artifacts.read(folder, KIND))
        try:
            return cls(**load_file(folder / FILE))
        except (OSError, TypeError, SafetensorError) as error:
            raise DetoxbenchError(f"probe {folder} cannot be loaded: {error}") from error


def separating(count: Sequence[int], sums: Tensor, second: Tensor) -> Probe:
    """The Bayes-optimal linear classifier of two normal distributions of one covariance (linear discriminant analysis).

    Args:
        count: harmless and toxic texts.
        sums: of their states, float64 ``[2, dim]``.
        second: sum of all states' outer products, float64 ``[dim, dim]``.

    Raises:
        DetoxbenchError: for fewer than two texts of a side, or two sides with one mean.
    """
    if min(count) < 2:
        raise DetoxbenchError(f"{min(count)} texts of a side: a probe needs at least 2 of each")
    means = sums / torch.tensor(count, dtype=sums.dtype)[:, None]
    scatter = second - sum(n * torch.outer(mean, mean) for n, mean in zip(count, means, strict=True))
    values, vectors = torch.linalg.eigh(scatter / (sum(count) - 2))
    there = values > SMALLEST
    vectors, values = vectors[:, there], values[there]
    direction = vectors @ ((vectors.T @ (means[0] - means[1])) / values)
    norm = direction.norm()
    if not bool(norm > 0):
        raise DetoxbenchError(
            "harmless and toxic texts have the same states on average: there is nothing to tell apart"
        )
    return Probe((direction / norm).float(), means.mean(0).float())


def fit(
    pretrained: str,
    out: str | Path,
    *,
    toxic: Texts,
    nontoxic: Texts,
    settings: Settings = DEFAULTS,
    revision: str | None = None,
    device: str | None = None,
) -> Path:
    """Make ``OUT/probe``; killed, it goes on at the last chunk of texts.

    Args:
        pretrained: base model: folder, hub name or ``mini``.
        out: its folder.
        toxic, nontoxic: texts of the two sides.
        settings: batch size, length limit, and the share of texts that it is judged by.
        revision, device: of the base model.

    Raises:
        DetoxbenchError: see ``separating``.
    """
    out = Path(out)
    with work.locked(out):
        model, tokenizer = work.load_base(pretrained, revision=revision, device=device)
        given = dict(zip(SIDES, (nontoxic, toxic), strict=True))
        data = {side: texts.record() for side, texts in given.items()}
        made_with = {"base": work.base_record(model), **settings.recorded(), "data": data}
        path = out / KIND
        if work.finished(path, KIND, made_with):
            work.discard(out, KIND)
            return path
        with work.work_folder(out, KIND, made_with) as folder:
            moments = _Moments(folder / "moments.safetensors")
            for side, texts in enumerate(given.values()):
                moments.read(side, _chunks(texts), lambda some: _states(model, tokenizer, some, settings), settings)
            probe = separating(moments.count, moments.sums, moments.second)
            facts = {"rows": sum(moments.count), **_judged(probe, moments.held)}
            probe.save(path, trained=work.trained(made_with, **facts))
    return path


def _judged(probe: Probe, held: Sequence[Tensor]) -> dict[str, Any]:
    """How often the probe is right about held-out texts, the sides counting the same."""
    right = [float((probe.margin(held[0]) > 0).double().mean()), float((probe.margin(held[1]) <= 0).double().mean())]
    counts = {"held_out": [len(one) for one in held]}
    return {**counts, "accuracy": sum(right) / 2 if all(map(len, held)) else None}


class _Moments:
    """Sums over the texts read so far, written as one safetensors file, at once."""

    def __init__(self, path: Path):
        self.path = path
        self.count, self.done, self.held = [0, 0], [0, 0], [torch.zeros(0, 0), torch.zeros(0, 0)]
        self.sums = self.second = torch.zeros(0, dtype=torch.float64)
        if path.is_file():
            with safe_open(path, "pt") as file:
                facts = parse_json(file.metadata()["state"])
            self.count, self.done = facts["count"], facts["done"]
            tensors = load_file(path)
            self.sums, self.second = tensors["sums"], tensors["second"]
            self.held = [tensors["held_0"], tensors["held_1"]]

    def read(self, side: int, chunks: Iterator[list[str]], states: Any, settings: Settings) -> None:
        """All chunks of a side that were not read before."""
        for number, chunk in enumerate(chunks):
            if number < self.done[side]:
                continue
            found = states(chunk).double()
            if not len(self.sums):
                dim = found.shape[1]
                self.sums, self.second = found.new_zeros(2, dim), found.new_zeros(dim, dim)
                self.held = [found.new_zeros(0, dim).float() for _ in range(2)]
            held = min(int(len(found) * settings.held_out), JUDGED - len(self.held[side]))
            self.held[side] = torch.cat([self.held[side], found[:held].float()])
            found = found[held:]
            self.count[side] += len(found)
            self.sums[side] += found.sum(0)
            self.second += found.T @ found
            self.done[side] += 1
            self._save()

    def _save(self) -> None:
        tensors = {"sums": self.sums, "second": self.second, "held_0": self.held[0], "held_1": self.held[1]}
        facts = {"count": self.count, "done": self.done}
        held = {name: one.contiguous() for name, one in tensors.items()}
        with replacing(self.path) as partial:
            save_file(held, partial, {"state": json.dumps(facts)})


def _chunks(texts: Texts) -> Iterator[list[str]]:
    chunk: list[str] = []
    for text in work.bar(texts, total=len(texts), desc=f"{texts.side} texts", unit="text"):
        chunk.append(text.text)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


@torch.inference_mode()
def _states(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], settings: Settings
) -> Tensor:
    """The last token's last hidden state of each text, in the texts' order ``[texts, dim]``."""
    body, _ = split(model, "sasa")
    rows = [tokenizer(text, verbose=False)["input_ids"][: settings.block_size] for text in texts]
    rows = [row for row in rows if row]
    order = sorted(range(len(rows)), key=lambda at: len(rows[at]))
    found: list[Tensor] = [torch.empty(0)] * len(rows)
    for start in range(0, len(order), settings.batch_size):
        some = order[start : start + settings.batch_size]
        width = max(len(rows[at]) for at in some)
        ids = torch.tensor([rows[at] + [0] * (width - len(rows[at])) for at in some])
        mask = torch.tensor([[1] * len(rows[at]) + [0] * (width - len(rows[at])) for at in some])
        states = body(ids.to(body.device), mask.to(body.device)).logits
        last = states[torch.arange(len(some)), mask.sum(1) - 1].float().cpu()
        for at, one in zip(some, last, strict=True):
            found[at] = one
    return torch.stack(found)
