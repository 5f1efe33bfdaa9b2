"""Conditional likelihoods of generations under a fluency model, in batches."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import hub
from .constants import MINI
from .errors import DetoxbenchError
from .files import local_name, sha256
from .likelihood import Row, likelihoods
from .mini import model_folder
from .tokenizers import misfit
from .transformers_private import commit, usable_positions


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
            with hub.quietly():
                tokenizer = AutoTokenizer.from_pretrained(folder)
                model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
        except (OSError, ValueError) as error:
            raise DetoxbenchError(
                f"fluency_model '{self.name}' cannot be loaded ({hub.cause(error, self.name)}): give a folder, a model "
                f"on the hub, '{MINI}', or 'none' to leave perplexity out"
            ) from error
        if (why := misfit(tokenizer, model)) is not None:
            raise DetoxbenchError(f"fluency_model '{self.name}': {why}; give a folder that has both")
        return tokenizer, model.to(self.device).eval()

    @cached_property
    def version(self) -> str:
        """Revision of a hub model, else the sha256 of the weights."""
        _, model = self._loaded
        return commit(model) or weights_sha256(Path(model_folder(self.name)))

    @property
    def label(self) -> str:
        """How results call it: the name on the hub, or a folder's last part with what is in it, never its path."""
        folder = Path(self.name)
        return local_name(folder, self.version) if self.name != MINI and folder.is_dir() else self.name

    @torch.inference_mode()
    def score(
        self,
        prompts: Sequence[str],
        continuations: Sequence[str],
        on_batch: Callable[[int], None] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Likelihood of each continuation given its prompt: ``NLL(prompt + continuation) - NLL(prompt)`` over the
        difference in tokens, the two tokenized together (Liu et al. 2021, as their code computes it).

        Where the tokenizer merges the end of the prompt with the continuation, that difference is of no text; the
        likelihood is then that of all tokens after those that the two have in common. A text without a context (an
        empty prompt) is conditioned on BOS; where the tokenizer has none, its first token is left out of the count.

        Args:
            prompts: ``[texts]``.
            continuations: ``[texts]``; concatenated to the prompt as they are.
            on_batch: called with the number of texts finished.

        Returns:
            NLL in nats, float64 ``[texts]`` (NaN where no token was added), and added tokens, int64 ``[texts]``.
            A sequence longer than the model takes is cut on the left, in the prompt; its BOS stays.
        """
        tokenizer, model = self._loaded
        limit = usable_positions(model) or 2048
        unique = sorted(set(prompts))
        known = dict(zip(unique, _encode(tokenizer, unique), strict=True))
        whole = _encode(tokenizer, [p + c for p, c in zip(prompts, continuations, strict=True)])
        start = leading_tokens(tokenizer)
        rows = [
            _row(known[p], ids, start, tokenizer.bos_token_id, limit) for p, ids in zip(prompts, whole, strict=True)
        ]
        added = np.array([row.counted for row in rows], dtype=np.int64)
        nll = np.zeros(len(rows))
        measured = [place for place in range(len(rows)) if added[place] > 0]
        if on_batch and len(measured) < len(rows):
            on_batch(len(rows) - len(measured))
        nll[measured] = likelihoods(model, [rows[place] for place in measured], self.device, on_batch)
        return np.where(added > 0, nll, np.nan), added


def leading_tokens(tokenizer: Any) -> list[int]:
    """The special tokens, BOS as a rule, that a tokenizer puts before a text; those that it puts behind are none."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    full = tokenizer("a", add_special_tokens=True)["input_ids"]
    for at in range(len(full) - len(bare) + 1):
        if full[at : at + len(bare)] == bare:
            return full[:at]
    return []


def _encode(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    return tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []


def _row(prompt: list[int], whole: list[int], start: list[int], bos: int | None, limit: int) -> Row:
    """The tokens that the model reads, and which of them count.

    Args:
        prompt, whole: tokens of the prompt and of prompt and continuation, without special ones.
        start: tokens before every text.
        bos: what a text without any other context follows.
        limit: positions of the model.
    """
    shared = next((at for at, (a, b) in enumerate(zip(prompt, whole, strict=False)) if a != b), None)
    shared = min(len(prompt), len(whole)) if shared is None else shared
    if not start and shared == 0 and bos is not None:
        start = [bos]
    kept = whole[max(len(whole) - (limit - len(start)), 0) :]
    tokens = [*start, *kept]
    # A token without anything before it has no likelihood.
    return Row(tokens, max(len(tokens) - (len(whole) - shared), len(start), 1))


def weights_sha256(folder: Path) -> str:
    """One sha256 over the safetensors files of a model folder, in order of their names."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(bytes.fromhex(sha256(path)))
    return digest.hexdigest()


@lru_cache(maxsize=2)
def load(name: str) -> FluencyModel:
    """The fluency model of that name; one copy serves all tasks."""
    return FluencyModel(name)
