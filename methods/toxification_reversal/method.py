"""Toxification reversal: what a toxic prefix adds to the attention heads is taken away (Leong et al., EMNLP 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from .. import base
from ..activation.heads import divided, norm, split
from ..activation.hooks import watching
from ..activation.places import head_outputs, heads, in_features
from ..activation.precision import widened
from ..activation.vectors import Vectors
from ..loading import encode

NEGATIVE, POSITIVE = "negative", "positive"
PREFIX = "The following text is abusive, harmful, negative, obscene, racist, rude and toxic: "

ABOUT = base.About(
    summary="What a toxic prefix would add to the outputs of the attention heads is taken away, at every token.",
    paper="Leong et al., EMNLP 2023",
    bibtex="""@inproceedings{leong-etal-2023-self,
  title     = {Self-Detoxifying Language Models via Toxification Reversal},
  author    = {Leong, Chak Tou and Cheng, Yi and Wang, Jiashuo and Wang, Jian and Li, Wenjie},
  booktitle = {Proceedings of the 2023 Conference on Empirical Methods in Natural Language Processing},
  year      = {2023},
  url       = {https://aclanthology.org/2023.emnlp-main.269}
}""",
    url="https://aclanthology.org/2023.emnlp-main.269",
)


def reversed_(
    v: Tensor,
    negative: Tensor,
    positive: Tensor,
    end: Tensor,
    norm_exponent: float,
    similarity_exponent: float,
    strength: float = 1.0,
) -> Tensor:
    """``v - (1 + |delta|)^norm_exponent (1 + relu(cos(end, v)))^similarity_exponent delta``, of ``v``'s norm.

    Args:
        v: ``[..., heads, dim]`` outputs of a block's heads, before they are merged.
        negative, positive: the same shape, of the text after the toxic prefix and without; ``delta`` is the difference.
        end: ``[heads, dim]`` of the toxic prefix's last token.
        norm_exponent, similarity_exponent: 0 leaves their factor out.
        strength: of ``delta``; 0 leaves ``v``, 1 is the paper's.

    Returns:
        ``[..., heads, dim]``; the norm over heads and dimensions together is that of ``v``.
    """
    wide, delta = widened(v), widened(negative) - widened(positive)
    end = end.to(wide.dtype)
    cosine = (end * wide).sum(-1, keepdim=True) / (norm(end) * norm(wide))
    scale = (1 + delta.norm(dim=-1, keepdim=True)) ** norm_exponent * (1 + cosine.relu()) ** similarity_exponent
    new = wide - strength * scale * delta
    return (new * (norm(wide, (-2, -1)) / norm(new, (-2, -1)))).to(v.dtype)


class ToxificationReversal(base.ActivationMethod):
    """The text is read three times: after the toxic prefix, without (or after another), and with the heads changed."""

    about = ABOUT
    models, forwards = 1, 3

    class Arguments(base.Arguments):
        prefix: str = Field(PREFIX, min_length=1, description="a text that makes what follows toxic")
        prefix_ids: list[int] | None = Field(None, min_length=1, description="its token ids, instead of the text")
        positive_prefix: str = Field("", description="what the other reading begins with; empty: nothing")
        positive_prefix_ids: list[int] | None = Field(None, description="its token ids, instead of the text")
        strength: float = Field(1.0, ge=0, description="how much of the difference is taken away; 0 is the base model")
        norm_exponent: float = Field(0.4, ge=0, description="of the factor that grows with the difference's length")
        similarity_exponent: float = Field(0.6, ge=0, description="of the factor that grows with toxic direction")

    @classmethod
    def on_mini(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """So much that perplexity stays near the base model's."""
        return {"strength": 0.5}

    def __init__(self, model: PreTrainedModel, arguments: Arguments):
        self.arguments = arguments
        self.places = head_outputs(model)
        self.heads = heads(model)
        for name in self.places:
            divided(in_features(model, name), self.heads, f"the input of {name}")
        negative, end = _prefix(model, arguments)
        positive: Sequence[int] = ()
        if arguments.positive_prefix_ids is not None:
            positive = arguments.positive_prefix_ids
        elif arguments.positive_prefix:
            positive = encode(model, arguments.positive_prefix, "positive_prefix")
        self.auxiliaries = {NEGATIVE: base.Auxiliary(model, negative), POSITIVE: base.Auxiliary(model, positive)}
        self.ends = Vectors(_ends(model, negative[:end], self.places))

    def states(self, place: str, states: Tensor, beside: Mapping[str, Tensor]) -> Tensor:
        """See ``reversed_``."""
        arguments = self.arguments
        new = reversed_(
            split(states, self.heads), split(beside[NEGATIVE], self.heads), split(beside[POSITIVE], self.heads),
            split(self.ends.on(place, states.device), self.heads), arguments.norm_exponent,
            arguments.similarity_exponent, arguments.strength,
        )  # fmt: skip
        return new.flatten(-2)


def _prefix(model: PreTrainedModel, arguments: ToxificationReversal.Arguments) -> tuple[Sequence[int], int]:
    """The toxic prefix's token ids, and how many of them there are without a space at its end: it is the colon whose
    states stand for the prefix."""
    if arguments.prefix_ids:
        return arguments.prefix_ids, len(arguments.prefix_ids)
    ids = encode(model, arguments.prefix, "prefix")
    stripped = encode(model, arguments.prefix.rstrip(), "prefix")
    return ids, len(stripped) if stripped and ids[: len(stripped)] == stripped else len(ids)


@torch.no_grad()
def _ends(model: PreTrainedModel, prefix: Sequence[int], places: Mapping[str, base.Place]) -> dict[str, Tensor]:
    """Place's name -> ``[heads * dim]`` of the prefix's last token: the same whatever follows."""
    with watching(model, places) as seen:
        ids = torch.tensor([list(prefix)], device=model.device)
        model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    return {name: states.reshape(-1, states.shape[-1])[-1] for name, states in seen.items()}
