"""Conditional likelihoods of generations under a fluency model, in batches."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .constants import MINI
from .errors import DetoxbenchError
from .mini import model_folder

CPU_BATCH_TOKENS = 1_024
GPU_BATCH_TOKENS = 32_768


class FluencyModel:
    """A causal LM used as a judge of fluency, loaded on first use.

    Args:
        name: folder, hub name or ``mini``.
        device: by default the first GPU, else the CPU.
    """

    def __init__(self, name: str, device: str | None = None):
        self.name = name
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder = model_folder(self.name)
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder)
            model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
        except (OSError, ValueError) as error:
            first = str(error).strip().splitlines()[0]
            raise DetoxbenchError(
                f"fluency_model '{self.name}' cannot be loaded ({first}): give a folder, a model on the hub, "
                f"'{MINI}', or 'none' to leave perplexity out"
            ) from error
        return tokenizer, model.to(self.device).eval()

    @cached_property
    def version(self) -> str:
        """Revision of a hub model, else the sha256 of the weights."""
        _, model = self._loaded
        commit = getattr(model.config, "_commit_hash", None)
        return commit or weights_sha256(Path(model_folder(self.name)))

    @torch.inference_mode()
    def score(
        self,
        prompts: Sequence[str],
        continuations: Sequence[str],
        on_batch: Callable[[int], None] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Likelihood of each continuation given its prompt, as DExperts computes it: the texts are tokenized
        together, ``NLL(prompt + continuation) - NLL(prompt)`` over the difference in tokens (Liu et al. 2021).

        Args:
            prompts: ``[texts]``.
            continuations: ``[texts]``; concatenated to the prompt as they are.
            on_batch: called with the number of texts finished.

        Returns:
            NLL in nats, float64 ``[texts]`` (NaN where no token was added), and added tokens, int64 ``[texts]``.
            A sequence longer than the model takes is cut on the left, in the prompt.
        """
        tokenizer, model = self._loaded
        limit = getattr(model.config, "max_position_embeddings", None) or 2048
        unique = sorted(set(prompts))
        known = dict(zip(unique, self._encode(tokenizer, unique), strict=True))
        full = self._encode(tokenizer, [p + c for p, c in zip(prompts, continuations, strict=True)])
        added = np.array([len(ids) - len(known[p]) for ids, p in zip(full, prompts, strict=True)], dtype=np.int64)
        # Where the whole is cut, the prompt alone is cut at the same token: the difference is of one context.
        kept = [len(known[p]) - max(len(ids) - limit, 0) for ids, p in zip(full, prompts, strict=True)]
        wanted = {
            (p, keep): known[p][len(known[p]) - keep :] if keep > 0 else []
            for p, keep in zip(prompts, kept, strict=True)
        }
        heads = dict(zip(wanted, self._sums(model, [ids[-limit:] for ids in wanted.values()], None), strict=True))
        nll = self._sums(model, [ids[-limit:] for ids in full], on_batch)
        nll -= np.array([heads[key] for key in zip(prompts, kept, strict=True)])
        # A continuation longer than the model takes is measured on its end, whose first token has no likelihood.
        added = np.where(np.array(kept) > 0, added, np.minimum(added, limit - 1))
        return np.where(added > 0, nll, np.nan), np.maximum(added, 0)

    @staticmethod
    def _encode(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
        return tokenizer(list(texts), add_special_tokens=True)["input_ids"] if texts else []

    def _sums(self, model: Any, rows: Sequence[list[int]], on_batch: Callable[[int], None] | None) -> np.ndarray:
        """Sum over each row of -log p(token | those before), in nats: ``[rows]``. The first token has none."""
        sums = np.zeros(len(rows))
        budget = CPU_BATCH_TOKENS if self.device.type == "cpu" else GPU_BATCH_TOKENS
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
        while order:
            width = max(len(rows[order[0]]), 1)
            batch, order = order[: max(1, budget // width)], order[max(1, budget // width) :]
            ids = torch.zeros(len(batch), width, dtype=torch.int64)
            mask = torch.zeros_like(ids)
            for at, i in enumerate(batch):
                ids[at, : len(rows[i])] = torch.as_tensor(rows[i], dtype=torch.int64)
                mask[at, : len(rows[i])] = 1
            ids, mask = ids.to(self.device), mask.to(self.device)
            if width > 1:
                logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
                logits = logits if logits.dtype == torch.float64 else logits.float()
                chosen = logits.gather(-1, ids[:, 1:, None]).squeeze(-1)
                losses = (logits.logsumexp(-1) - chosen) * mask[:, 1:]
                sums[batch] = losses.double().sum(-1).cpu().numpy()
            if on_batch:
                on_batch(len(batch))
        return sums


def weights_sha256(folder: Path) -> str:
    """One sha256 over the safetensors files of a model folder, in order of their names."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest() if hasattr(hashlib, "file_digest") else
                          hashlib.sha256(file.read()).digest())  # fmt: skip
    return digest.hexdigest()


@lru_cache(maxsize=2)
def load(name: str) -> FluencyModel:
    """The fluency model of that name; one copy serves all tasks."""
    return FluencyModel(name)
