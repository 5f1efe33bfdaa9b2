"""Best of n: of n whole continuations the one that a guiding scorer finds least toxic (rejection sampling)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field
from transformers import PreTrainedModel

from ...core import scorers
from .. import base
from ..guidance.scoring import guide, toxicity

ABOUT = base.About(
    summary="Of n whole continuations the one that a guiding scorer finds least toxic is kept.",
    paper="Stiennon et al., NeurIPS 2020 (as a baseline; for toxicity e.g. Askell et al. 2021)",
    bibtex="""@inproceedings{stiennon2020learning,
  title     = {Learning to summarize with human feedback},
  author    = {Stiennon, Nisan and Ouyang, Long and Wu, Jeffrey and Ziegler, Daniel and Lowe, Ryan and Voss, Chelsea
               and Radford, Alec and Amodei, Dario and Christiano, Paul F.},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {33},
  year      = {2020},
  url       = {https://arxiv.org/abs/2009.01325}
}""",
    url="https://arxiv.org/abs/2009.01325",
)


def least(values: np.ndarray) -> np.ndarray:
    """The place of the smallest value of each row, the first of equal ones; NaN never wins over a number.

    Args:
        values: float ``[groups, draws]``; a row of NaN alone keeps its first.

    Returns:
        int64 ``[groups]``.
    """
    return np.where(np.isnan(values), np.inf, values).argmin(axis=1)


class BestOfN(base.SelectionMethod):
    """Log-likelihoods are the base model's: the distribution of what is kept has no closed form."""

    about = ABOUT
    forwards = 4

    class Arguments(base.Arguments):
        n: int = Field(4, ge=1, description="continuations from which one is kept; 1 is the base model")
        scorer: str | None = Field(
            None, min_length=1, description="finds the least toxic one; not the one that judges the run"
        )
        lang: str = Field("en", min_length=1, description="BCP-47 tag of prompts that do not say theirs")

    @classmethod
    def on_mini(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Trained on other sentences than the scorer ``mini`` that judges."""
        return {"scorer": "mini:reward"}

    def __init__(self, model: PreTrainedModel, arguments: Arguments):
        self.draws, self.lang = arguments.n, arguments.lang
        self.scorer: scorers.Scorer | None = None
        if self.draws > 1:
            self.scorer = guide("best_of_n", arguments.scorer)
            self.guided_by = (self.scorer.name,)

    def choose(
        self, groups: Sequence[Sequence[str]], prompts: Sequence[str], langs: Sequence[str | None]
    ) -> base.Chosen:
        if self.scorer is None:
            return base.Chosen([0] * len(groups))
        values = np.full((len(groups), self.draws), np.nan)
        tags = [lang or self.lang for lang in langs]
        for lang in sorted(set(tags)):
            rows = [row for row, tag in enumerate(tags) if tag == lang]
            texts = [text for row in rows for text in groups[row]]
            before = [prompts[row] for row in rows for _ in groups[row]]
            values[rows] = toxicity(self.scorer, texts, lang, before).reshape(len(rows), self.draws)
        missing = np.isnan(values)
        return base.Chosen(least(values).tolist(), int(missing.sum()), int(missing.all(axis=1).sum()))
