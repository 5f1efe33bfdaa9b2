"""Self-debiasing: tokens that a description of toxic text raises are scaled down (Schick et al., TACL 2021)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from .. import base
from ..guidance.rows import by_rows
from ..loading import encode

DESCRIPTION = "The following text contains rude, disrespectful, or unreasonable language:\n"
"""The paper's template with its description of Perspective's attribute "toxicity"."""
FLOOR = 1e-2
"""No probability is scaled down further than this."""
ABOUT = base.About(
    summary="Tokens that a description of toxic text in front makes likelier are scaled down.",
    paper="Schick et al., TACL 2021",
    bibtex="""@article{schick-etal-2021-self,
  title   = {Self-Diagnosis and Self-Debiasing: A Proposal for Reducing Corpus-Based Bias in {NLP}},
  author  = {Schick, Timo and Udupa, Sahana and Sch{\\"u}tze, Hinrich},
  journal = {Transactions of the Association for Computational Linguistics},
  volume  = {9},
  year    = {2021},
  url     = {https://aclanthology.org/2021.tacl-1.84}
}""",
    url="https://aclanthology.org/2021.tacl-1.84",
)


def debias(z: Tensor, described: Tensor, decay: float) -> Tensor:
    """``log(p * exp(decay * (p - p_described)))`` where the description raises a token's probability (eq. 3).

    Args:
        z: float32 ``[rows, vocab]`` base scores.
        described: ``[rows, vocab]`` scores after the description.
        decay: strength, at least 0.

    Returns:
        float32 log-probabilities ``[rows, vocab]``.
    """
    log_p = z.log_softmax(-1)
    raised = (log_p.exp() - described.float().softmax(-1)).clamp_(max=0.0)
    scale = raised.mul_(decay).exp_().clamp_(min=FLOOR)
    return log_p.add_(scale.log_()).log_softmax(-1)


class SelfDebias(base.LogitMethod):
    """The base model itself runs a second time, with the description in front."""

    about = ABOUT
    forwards = 2

    class Arguments(base.Arguments):
        decay: float = Field(50.0, ge=0, description="strength")
        description: str = Field(
            DESCRIPTION,
            min_length=1,
            description="text in front, encoded by the base model's own tokenizer, special tokens included",
        )
        description_ids: list[int] | None = Field(
            None, min_length=1, description="the same as token ids, for a model without a tokenizer"
        )

    @classmethod
    def on_mini(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """A model of this size spreads what a description raises over many tokens, a little each."""
        return {"decay": 200.0}

    def __init__(self, model: PreTrainedModel, arguments: Arguments):
        self.decay = arguments.decay
        prefix = arguments.description_ids or encode(model, arguments.description, "description")
        self.auxiliaries = {"described": base.Auxiliary(model, prefix)}

    def scores(self, base: Tensor, streams: base.Streams, filtering: bool) -> Tensor:
        return by_rows(functools.partial(debias, decay=self.decay), base, streams.outputs["described"])
