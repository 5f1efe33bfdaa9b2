"""kNN-LM: a base model mixed with, or turned away from, one datastore (Khandelwal et al., ICLR 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from .. import base
from ..guidance.nucleus import within
from ..guidance.rows import by_rows
from ..loading import missing_artifact, vocab_size
from ..retrieval import declaration
from ..retrieval.contexts import looked_up
from ..retrieval.datastore import Datastore, layer_of
from ..retrieval.knn import Neighbours, probabilities

ABOUT = base.About(
    summary="One datastore is mixed into the base model's distribution, or the model is turned away from it.",
    paper="Khandelwal et al., ICLR 2020; as in Goodtriever's code (Pozzobon et al. 2023)",
    bibtex="""@inproceedings{khandelwal2020generalization,
  title     = {Generalization through Memorization: Nearest Neighbor Language Models},
  author    = {Khandelwal, Urvashi and Levy, Omer and Jurafsky, Dan and Zettlemoyer, Luke and Lewis, Mike},
  booktitle = {International Conference on Learning Representations},
  year      = {2020},
  url       = {https://openreview.net/forum?id=HklBjCEKvH}
}""",
    url="https://openreview.net/forum?id=HklBjCEKvH",
)
DISCOURAGE = "discourage"


def interpolate(z: Tensor, p_knn: Tensor, lmbda: float) -> Tensor:
    """``log((1 - lmbda) p + lmbda p_knn)`` (eq. 3); float32 ``[rows, vocab]`` all."""
    return z.softmax(-1).mul_(1 - lmbda).add_(p_knn, alpha=lmbda).log_()


def discourage(z: Tensor, p_knn: Tensor, lmbda: float) -> Tensor:
    """``log relu((1 + lmbda) p - lmbda p_knn)``, as in Goodtriever's code; not normalised where the relu cuts."""
    return z.softmax(-1).mul_(1 + lmbda).sub_(p_knn, alpha=lmbda).clamp_(min=0.0).log_()


class KnnLM(base.LogitMethod):
    """``interpolate`` with a datastore of non-toxic text, ``discourage`` with one of toxic text."""

    about = ABOUT
    fit = declaration.FIT
    uses = (
        base.Use("datastore", "nontoxic"),
        base.Use("datastore", "toxic", when={"mode": DISCOURAGE}),
    )

    class Arguments(base.Arguments):
        datastore: str | Datastore | None = Field(None, description="folder, or an opened datastore")
        lmbda: float = Field(0.25, ge=0, le=1, description="share of the datastore")
        mode: Literal["interpolate", "discourage"] = Field(
            "interpolate", description="towards the datastore, or away from it"
        )
        filter_p: float = Field(
            1.0,
            ge=0,
            le=1,
            description="as in Goodtriever: the datastore cannot bring back a token outside the base model's nucleus "
            "of this mass; 0 or 1 filters nothing, as published",
        )
        k: int = Field(1024, ge=1, description="neighbours")
        temperature: float = Field(100.0, gt=0, description="of the neighbours' weights")
        exact: bool = Field(False, description="search exactly, whatever index the datastore has")
        key_layer: str | None = Field(None, description="module whose input is the key; default: the architecture's")

    @classmethod
    def on_mini(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Distances are shorter than a large model's: at temperature 100 all neighbours weigh nearly the same. What
        clean sentences of so small a corpus go on with is often nothing that the text can go on with, hence the
        filter."""
        return {} if given.get("mode") == DISCOURAGE else {"lmbda": 0.8, "temperature": 5.0, "filter_p": 0.8}

    def __init__(self, model: PreTrainedModel, arguments: Arguments):
        if not arguments.datastore:
            raise missing_artifact("knn_lm", "datastore=…", "knn_lm")
        self.arguments = arguments
        self.vocab = vocab_size(model)
        self.truncates = 0 < arguments.filter_p < 1
        self.datastore = Datastore.open(arguments.datastore, exact=arguments.exact)
        self.key_layer = layer_of(model, arguments.key_layer, [self.datastore])
        self.datastore.check(model, self.key_layer, arguments.k, "datastore")
        self.datastore.warn_if_flat(arguments.k, arguments.temperature, "datastore")

    def scores(self, base: Tensor, streams: base.Streams, filtering: bool) -> Tensor:
        arguments = self.arguments
        found = self.datastore.search(streams.hidden, arguments.k)
        mix = interpolate if arguments.mode == "interpolate" else discourage

        def mixed(z: Tensor, near: Neighbours) -> Tensor:
            scores = mix(z, probabilities(near, arguments.temperature, z.shape[-1]), arguments.lmbda)
            return within(scores, z, arguments.filter_p) if filtering and self.truncates else scores

        return by_rows(mixed, base, found)

    def parts(self, streams: base.Streams, looking: base.Looking) -> base.Parts:
        """The distribution of the datastore's neighbours."""
        return looked_up({"datastore": self.datastore}, streams, self.vocab, self.arguments, looking)
