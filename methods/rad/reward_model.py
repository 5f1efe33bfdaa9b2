"""A causal LM's body with a linear head: how toxic a text is, after each of its tokens (Deng and Raffel 2023)."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ...core import files, hub
from ...core.errors import DetoxbenchError
from .. import artifacts
from ..guidance.body import Body
from ..loading import LOAD_ERRORS

KIND = "reward_model"
HEAD = "reward_head.safetensors"
BATCH = 64
"""Whole texts that are read at once."""


class RewardModel(nn.Module):
    """Reads a text once; every position says how toxic the text is so far.

    Args:
        body: an architecture's model without language-modelling head.
        head: from its last hidden state to the toxicity.
        tokenizer: of the body; None where the base model's tokens are read.
    """

    def __init__(self, body: PreTrainedModel, head: nn.Linear, tokenizer: PreTrainedTokenizerBase | None = None):
        super().__init__()
        self.body, self.head, self.tokenizer = body, head, tokenizer

    @classmethod
    def from_causal_lm(
        cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None = None, *, take: bool = False
    ) -> RewardModel:
        """A copy of a causal LM's body with a fresh head that says 0.5, to be trained.

        Args:
            model: the causal LM.
            tokenizer: see the class.
            take: its body itself, not a copy: it is of no use afterwards.

        Raises:
            DetoxbenchError: where the architecture does not keep its body apart.
        """
        output = model.get_output_embeddings()
        if model.base_model is model or output is None:
            raise DetoxbenchError(f"a {model.config.model_type} model has no body apart from its head")
        head = nn.Linear(output.weight.shape[1], 1)
        nn.init.zeros_(head.weight)
        nn.init.constant_(head.bias, 0.5)
        body = model.base_model if take else copy.deepcopy(model.base_model)
        return cls(body, head.to(model.device, model.dtype), tokenizer)

    @property
    def config(self) -> Any:
        return self.body.config

    @property
    def device(self) -> torch.device:
        return self.body.device

    def value(self, states: Tensor) -> Tensor:
        """Toxicity ``[...]`` of last hidden states ``[..., dim]``, float32, not clamped."""
        weight = self.head.weight
        return self.head(states.to(weight.device, weight.dtype)).squeeze(-1).float()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Toxicity ``[batch, pos]`` of right-padded texts, after each token."""
        return self.value(Body(self.body)(input_ids, attention_mask).logits)

    @torch.no_grad()
    def judge(self, texts: Sequence[str]) -> np.ndarray:
        """Toxicity of whole texts, in [0, 1], float64 ``[texts]``; NaN for a text without a token.

        Raises:
            DetoxbenchError: without a tokenizer.
        """
        if self.tokenizer is None:
            raise DetoxbenchError(f"reward model '{self.config.name_or_path}' has no tokenizer to read texts with")
        found = np.full(len(texts), np.nan)
        encoded = [(at, self.tokenizer(text, verbose=False)["input_ids"]) for at, text in enumerate(texts)]
        encoded = sorted(((at, ids) for at, ids in encoded if ids), key=lambda pair: len(pair[1]))
        for start in range(0, len(encoded), BATCH):
            some = encoded[start : start + BATCH]
            ids, mask = padded([ids for _, ids in some], self.device)
            values = self(ids, mask).gather(1, mask.sum(1, keepdim=True) - 1)[:, 0].clamp(0.0, 1.0)
            for (at, _), value in zip(some, values.tolist(), strict=True):
                found[at] = value
        return found

    def save(self, folder: str | Path, *, trained: Mapping[str, Any] | None = None) -> None:
        """Write a ``save_pretrained`` folder of the body, the head's safetensors, and a manifest; all or nothing."""
        with files.new_folder(Path(folder)) as partial:
            self.body.save_pretrained(partial, safe_serialization=True)
            if self.tokenizer is not None:
                self.tokenizer.save_pretrained(partial)
            state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.head.state_dict().items()}
            save_file(state, partial / HEAD)
            artifacts.write_manifest(
                partial, KIND, model_type=self.config.model_type, dim=self.head.in_features, trained=dict(trained or {})
            )

    @classmethod
    def load(cls, folder: str | Path, **options: Any) -> RewardModel:
        """A saved one, in evaluation mode.

        Args:
            folder: made by ``save``.
            options: of ``from_pretrained`` (``dtype``, ``device_map``).

        Raises:
            DetoxbenchError: where a file is missing or corrupted, or the folder holds something else.
        """
        folder = Path(folder)
        manifest = artifacts.read(folder, KIND)
        artifacts.verify(folder, manifest)
        try:
            with hub.quietly():
                body = AutoModel.from_pretrained(folder, use_safetensors=True, **options)
            head = nn.Linear(manifest["dim"], 1)
            head.load_state_dict(load_file(folder / HEAD))
        except (*LOAD_ERRORS, TypeError) as error:
            cause = str(error).strip().splitlines() or [type(error).__name__]
            raise DetoxbenchError(f"reward model {folder} cannot be loaded: {cause[0]}") from error
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder)
        except LOAD_ERRORS:
            tokenizer = None
        device = list(body.parameters())[-1].device
        return cls(body, head.to(device, body.dtype), tokenizer).eval()


def padded(rows: Sequence[Sequence[int]], device: torch.device | str) -> tuple[Tensor, Tensor]:
    """Right-padded ids and mask ``[rows, pos]``."""
    width = max(map(len, rows))
    ids = torch.zeros(len(rows), width, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for at, row in enumerate(rows):
        ids[at, : len(row)] = torch.tensor(row)
        mask[at, : len(row)] = 1
    return ids.to(device), mask.to(device)
