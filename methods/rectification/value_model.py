"""A causal LM's body with a Q head: how likely each next token is to end in a toxic text (Cao et al., ICLR 2023)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel
from transformers.cache_utils import Cache

from ...core import files, hub
from ...core.errors import DetoxbenchError
from ...core.transformers_private import accepted, cache_argument, causal_output
from .. import artifacts
from ..loading import LOAD_ERRORS
from ..streams import keep_positions

KIND = "value_model"
Q_HEAD = "q_head.safetensors"


def q_head(dim: int, vocab: int) -> nn.Sequential:
    """``Linear(dim, 2 dim) -> ReLU -> Linear(2 dim, vocab)``."""
    return nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, vocab))


def fresh_head(dim: int, vocab: int) -> nn.Sequential:
    """A Q head to be trained. A token that no trajectory takes keeps the value 0: nothing is known against it."""
    head = q_head(dim, 1)
    last = nn.utils.skip_init(nn.Linear, 2 * dim, vocab, device="meta")
    # numpy's zeros that nothing is written to take no memory; torch writes its own.
    last.weight = nn.Parameter(torch.from_numpy(np.zeros((vocab, 2 * dim), np.float32)))
    last.bias = nn.Parameter(torch.zeros(vocab))
    head[2] = last
    return head


class ValueModel(nn.Module):
    """Called like a causal LM; its ``logits`` are the values ``Q(s_t, w)`` of every next token w, in about [-1, 0].

    Args:
        body: an architecture's model without language-modelling head.
        head: see ``q_head``; its input is the body's last hidden state.
    """

    def __init__(self, body: PreTrainedModel, head: nn.Sequential):
        super().__init__()
        self.body = body
        self.head = head

    @classmethod
    def from_causal_lm(cls, model: PreTrainedModel, *, take: bool = False) -> ValueModel:
        """A copy of a causal LM's body with a fresh Q head, to be trained.

        Args:
            model: the causal LM.
            take: its body itself, not a copy: it is of no use afterwards.

        Raises:
            DetoxbenchError: where the architecture does not keep its body apart.
        """
        output = model.get_output_embeddings()
        if model.base_model is model or output is None:
            raise DetoxbenchError(f"a {model.config.model_type} model has no body apart from its head")
        vocab, dim = output.weight.shape
        body = model.base_model if take else copy.deepcopy(model.base_model)
        return cls(body, fresh_head(dim, vocab).to(output.weight.device, output.weight.dtype))

    @property
    def config(self) -> Any:
        return self.body.config

    @property
    def device(self) -> torch.device:
        return self.body.device

    def states(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        cache: Cache | None = None,
        use_cache: bool = False,
    ) -> Tensor:
        """The body's last hidden states ``[batch, pos, dim]``. Position ids are counted from the mask if not given."""
        if position_ids is None and attention_mask is not None:
            position_ids = (attention_mask.cumsum(-1) - 1).clamp_(min=0)[:, -input_ids.shape[1] :]
        names = accepted(self.body)
        extra = {"position_ids": position_ids} if "position_ids" in names else {}
        return self.body(
            input_ids=input_ids,
            attention_mask=attention_mask,
            use_cache=use_cache,
            return_dict=True,
            **cache_argument(names, cache),
            **extra,
        ).last_hidden_state

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        cache: Cache | None = None,
        use_cache: bool = False,
        logits_to_keep: int | Tensor = 0,
        return_dict: bool = True,
    ) -> Any:
        """transformers' ``CausalLMOutputWithPast`` with values ``[batch, kept, vocab]`` as ``logits``."""
        states = self.states(input_ids, attention_mask, position_ids, cache, use_cache)
        values = self.head(keep_positions(states, logits_to_keep).to(self.head[0].weight.device))
        return causal_output(values, cache)

    def save(self, folder: str | Path, *, trained: Mapping[str, Any] | None = None) -> None:
        """Write a ``save_pretrained`` folder of the body, the head's safetensors, and a manifest; all or nothing.

        Args:
            folder: must not exist, or be empty.
            trained: what it was trained with (scorer, data, settings), kept in the manifest.
        """
        with files.new_folder(Path(folder)) as partial:
            self.body.save_pretrained(partial, safe_serialization=True)
            state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.head.state_dict().items()}
            save_file(state, partial / Q_HEAD)
            artifacts.write_manifest(
                partial,
                KIND,
                model_type=self.config.model_type,
                vocab_size=self.head[2].out_features,
                dim=self.head[0].in_features,
                trained=dict(trained or {}),
            )

    @classmethod
    def load(cls, folder: str | Path, **options: Any) -> ValueModel:
        """A saved value model, in evaluation mode.

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
            head = q_head(manifest["dim"], manifest["vocab_size"])
            head.load_state_dict(load_file(folder / Q_HEAD))
        except (*LOAD_ERRORS, TypeError) as error:
            cause = str(error).strip().splitlines() or [type(error).__name__]
            raise DetoxbenchError(f"value model {folder} cannot be loaded: {cause[0]}") from error
        device = list(body.parameters())[-1].device
        return cls(body, head.to(device, body.dtype)).eval()
