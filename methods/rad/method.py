"""RAD: a reward model weighs the k most probable next tokens (Deng and Raffel, EMNLP 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from ...core.errors import DetoxbenchError
from .. import base
from ..guidance.body import Body
from ..guidance.candidates import Candidates
from ..guidance.scoring import guide, toxicity
from ..guidance.written import Written
from ..loading import beside, missing_artifact, same_vocabulary, spread, tokenizer_of, vocab_size
from ..needs import Needs, Size, finetuning
from .reward_model import KIND, RewardModel
from .settings import Settings

ABOUT = base.About(
    summary="A reward model reads the text with each of the k likeliest next tokens, and the less toxic ones gain.",
    paper="Deng and Raffel, EMNLP 2023",
    bibtex="""@inproceedings{deng-raffel-2023-reward,
  title     = {Reward-Augmented Decoding: Efficient Controlled Text Generation With a Unidirectional Reward Model},
  author    = {Deng, Haikang and Raffel, Colin},
  booktitle = {Proceedings of the 2023 Conference on Empirical Methods in Natural Language Processing},
  year      = {2023},
  url       = {https://aclanthology.org/2023.emnlp-main.721}
}""",
    url="https://aclanthology.org/2023.emnlp-main.721",
)


def run(
    pretrained: str,
    out: Path,
    *,
    texts: Mapping[str, Any],
    settings: Settings,
    revision: str | None = None,
    device: str | None = None,
) -> base.Made:
    """Fit the artifacts as the declaration has it (``fit``), and say what was made."""
    from .. import artifacts
    from .fit import fit

    path = fit(pretrained, out, **texts, settings=settings, revision=revision, device=device)
    trained = artifacts.read(path)["trained"]
    losses = f"{trained['loss_before']:.4f} -> {trained['loss_after']:.4f}"
    row = {"reward model": str(path), "texts": f"{trained['rows']:,}", "loss on its own texts": losses}
    return base.Made({KIND: path}, [row])


def cost(size: Size, texts: Mapping[str, Any], settings: Settings) -> Needs:
    """Of the reward model, that may be another one than the base model."""
    other = settings.reward_pretrained and Size.of(settings.reward_pretrained)
    return finetuning(other or size, texts, settings)


FIT = base.Fit(
    name="rad",
    summary="A reward model OUT/reward_model, that says how toxic a text is after each of its tokens, for RAD.",
    run=run,
    artifacts=(base.Artifact(
            KIND, "a causal LM's body with a linear head: toxicity after each token", "both", kind=KIND,
            own_vocabulary=True,
        ),),
    settings=Settings,
    cost=cost,
    needs=("toxic", "nontoxic"),
    grows=base.Growth("retrain"),
    mini=base.Mini(
        {"epochs": 1, "max_steps": 200, "learning_rate": 1e-3, "batch_size": 16, "device_batch_size": 16,
         "block_size": 32},
        minutes=0.5,
    ),
)  # fmt: skip


def augment(z: Tensor, tokens: Tensor, toxicities: Tensor, beta: float, filtering: bool = True) -> Tensor:
    """``z_i + beta * r_i`` with r = 1 - toxicity in [0, 1] on the proposed tokens; -inf on all others (algorithm 1).

    A token that could not be judged has the smallest reward of its row; where none could, all have 0.

    Args:
        z: float32 ``[rows, vocab]`` base scores.
        tokens: int64 ``[rows, k]``.
        toxicities: ``[rows, k]``, NaN where there is no answer.
        beta: strength, at least 0.
        filtering: False leaves the others' scores as they are.

    Returns:
        float32 ``[rows, vocab]``.
    """
    reward = 1.0 - toxicities.float().clamp(0.0, 1.0)
    lowest = torch.where(reward.isnan(), torch.inf, reward).amin(1, keepdim=True)
    lowest = torch.where(lowest.isposinf(), 0.0, lowest)
    reward = torch.where(reward.isnan(), lowest, reward)
    steered = z.gather(1, tokens) + beta * reward
    return (torch.full_like(z, -torch.inf) if filtering else z.clone()).scatter_(1, tokens, steered)


class RAD(base.LogitMethod):
    """Reads the whole text, prompt included, as the authors do."""

    about = ABOUT
    fit = FIT
    uses = (base.Use(KIND, KIND, {"scorer": None}),)
    models, forwards = 2, 3

    class Arguments(base.Arguments):
        reward_model: str | RewardModel | None = Field(
            None, description="folder made by detoxbench fit rad, or a loaded one"
        )
        scorer: str | None = Field(
            None,
            min_length=1,
            description="instead: any scorer, asked about whole texts (slow); not the one that judges",
        )
        beta: float = Field(30.0, ge=0, description="strength; 0 is the base model; the paper has 10 to 300")
        k: int = Field(20, ge=1, description="so many of the base model's likeliest tokens may be drawn")
        lang: str = Field("en", min_length=1, description="BCP-47 tag that the scorer is asked in")

    def __init__(self, model: PreTrainedModel, arguments: Arguments):
        if arguments.reward_model is not None and arguments.scorer is not None:
            raise DetoxbenchError("method 'rad': give reward_model=… or scorer=…, not both")
        self.beta, self.k = arguments.beta, min(arguments.k, vocab_size(model))
        self.truncates = self.beta > 0.0
        if self.beta == 0.0:
            return
        judge = self._scorer(model, arguments) if arguments.scorer is not None else _reward(model, arguments)
        self.auxiliaries = {KIND: base.Auxiliary(judge, proposals=self.k)}

    @classmethod
    def on_mini(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """A few tokens hold nearly all of so small a model's mass: with 20 of them its tail is drawn from."""
        return {"beta": 8.0, "k": 4}

    @classmethod
    def cuts(cls, arguments: Any) -> bool:
        """Tokens that are not among the k likeliest."""
        return arguments.beta > 0.0

    def _scorer(self, model: PreTrainedModel, arguments: Arguments) -> Written:
        scorer = guide("rad", arguments.scorer)
        self.guided_by = (scorer.name,)

        def judge(texts: Any) -> np.ndarray:
            return toxicity(scorer, texts, arguments.lang, [""] * len(texts))

        return Written(model, tokenizer_of(model, f"method 'rad' with scorer={arguments.scorer}"), judge)

    def scores(self, base: Tensor, streams: base.Streams, filtering: bool) -> Tensor:
        if self.beta == 0.0:
            return base
        return augment(base, streams.proposed[KIND], streams.outputs[KIND], self.beta, filtering)

    def parts(self, streams: base.Streams, looking: base.Looking) -> base.Parts:
        """Nothing of its own: rewards are of the proposed tokens alone."""
        return base.Parts()


def _reward(model: PreTrainedModel, arguments: RAD.Arguments) -> Candidates | Written:
    """By the cache where it reads the base model's tokens, else text by text."""
    source = arguments.reward_model
    if source is None:
        raise missing_artifact("rad", "reward_model=… or scorer=…", "rad")
    reward = source if isinstance(source, RewardModel) else RewardModel.load(source, **beside(model))
    if not spread(model):
        reward = reward.to(model.device)
    try:
        same_vocabulary(model, reward, "reward model")
    except DetoxbenchError:
        return Written(model, tokenizer_of(model, "a reward model of another vocabulary"), reward.judge)
    return Candidates(Body(reward.body), reward.value)
