"""Sequence classifiers over texts of any length: windows, batches by length, one probability a label."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .base import well_formed

OVERLAP = 4
"""Consecutive windows share a quarter of their tokens, so that an insult is not cut in two."""

DEFAULT_WINDOW = 512
"""Tokens, where neither the model nor its tokenizer has a limit."""

CPU_TOKENS, GPU_TOKENS = 1024, 65536
"""Tokens in a batch, padding included: few on a CPU, whose cache should hold a layer's values."""

ACTIVATIONS = ("softmax", "sigmoid")


def files_sha256(paths: Iterable[Path]) -> str:
    """sha256 in hex over the names and contents of files."""
    digest = hashlib.sha256()
    for path in sorted(paths, key=lambda path: path.name):
        digest.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
    return digest.hexdigest()


def state_sha256(model: Any) -> str:
    """sha256 in hex over the names, types, shapes and bytes of a model's weights."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def window_of(model: Any, tokenizer: Any) -> int:
    """Tokens that the model can take at once, special ones included."""
    from ..transformers_private import usable_positions  # which loads torch

    limits = [tokenizer.model_max_length]
    if (positions := usable_positions(model)) is not None:
        limits.append(positions)
    limit = min(int(min(one, 10**9)) for one in limits)
    return limit if limit < 10**9 else DEFAULT_WINDOW


class WindowedClassifier:
    """A model and its tokenizer, as a function from texts to probabilities.

    Texts longer than the window are cut into windows of which each shares a quarter with the one before; the
    probability of a label is its largest over the windows.

    Args:
        model: a ``…ForSequenceClassification`` of transformers.
        tokenizer: a fast one, which knows how to make windows.
        activation: ``softmax`` over the labels, or ``sigmoid`` of each.
        device: torch's; by default the GPU if there is one.
        dtype: torch's; float32 unless asked, for scores near a half change sides in bfloat16.
        window: tokens; by default as many as the model takes.
        batch_tokens: tokens in a batch.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        activation: str,
        device: str | None = None,
        dtype: str | None = None,
        window: int | None = None,
        batch_tokens: int | None = None,
    ):
        import torch

        known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.dtype = known[dtype or "float32"]
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
            model.config.pad_token_id = tokenizer.pad_token_id
        self.model = model.to(self.device, self.dtype).eval()
        self.tokenizer = tokenizer
        self.activation = activation
        self.window = min(window or 10**9, window_of(model, tokenizer))
        self.batch_tokens = batch_tokens or (CPU_TOKENS if self.device.type == "cpu" else GPU_TOKENS)

    @property
    def settings(self) -> str:
        """What the probabilities depend on beside the files, in a few characters."""
        return f"{self.activation},{str(self.dtype).removeprefix('torch.')},window {self.window}"

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """float64 ``[texts, labels]``."""
        labels = self.model.config.num_labels
        result = np.zeros((len(texts), labels))
        if not len(texts):
            return result
        encoded = self.tokenizer(
            [well_formed(text) for text in texts],
            truncation=True, max_length=self.window, stride=self.window // OVERLAP, return_overflowing_tokens=True,
            return_attention_mask=False,
        )  # fmt: skip
        windows, owners = encoded["input_ids"], encoded["overflow_to_sample_mapping"]
        for batch in self._batches([len(window) for window in windows]):
            scores = self._forward([windows[place] for place in batch])
            np.maximum.at(result, [owners[place] for place in batch], scores)
        return result

    def _batches(self, lengths: Sequence[int]) -> Iterable[list[int]]:
        """Places of windows of about one length; longest first, so that memory runs out at once or never."""
        batch: list[int] = []
        longest = 0
        for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
            longest = longest or lengths[place]
            if batch and longest * (len(batch) + 1) > self.batch_tokens:
                yield batch
                batch, longest = [], lengths[place]
            batch.append(place)
        if batch:
            yield batch

    def _forward(self, windows: Sequence[Sequence[int]]) -> np.ndarray:
        """float64 ``[windows, labels]``."""
        import torch

        padded = self.tokenizer.pad({"input_ids": list(windows)}, return_tensors="pt")
        inputs = {name: padded[name].to(self.device) for name in ("input_ids", "attention_mask")}
        with torch.inference_mode():
            logits = self.model(**inputs).logits.float()
        scores = torch.softmax(logits, dim=-1) if self.activation == "softmax" else torch.sigmoid(logits)
        return scores.cpu().numpy().astype(np.float64)
