"""kNN-LM: a base model mixed with, or turned away from, one datastore (Khandelwal et al., ICLR 2020)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from .. import base
from ..guidance.nucleus import within
from ..guidance.rows import by_rows
from ..layers import key_layer
from ..loading import missing_artifact
from ..retrieval.datastore import Datastore
from ..retrieval.knn import Neighbours, probabilities


def interpolate(z: Tensor, p_knn: Tensor, lmbda: float) -> Tensor:
    """``log((1 - lmbda) p + lmbda p_knn)`` (eq. 3); float32 ``[rows, vocab]`` all."""
    return z.softmax(-1).mul_(1 - lmbda).add_(p_knn, alpha=lmbda).log_()


def discourage(z: Tensor, p_knn: Tensor, lmbda: float) -> Tensor:
    """``log relu((1 + lmbda) p - lmbda p_knn)``, as in Goodtriever's code; not normalised where the relu cuts."""
    return z.softmax(-1).mul_(1 + lmbda).sub_(p_knn, alpha=lmbda).clamp_(min=0.0).log_()


class KnnLM(base.LogitMethod):
    """``interpolate`` with a datastore of non-toxic text, ``discourage`` with one of toxic text."""

    kind: ClassVar[str] = "logit"

    class Arguments(base.Arguments):
        """
        Args:
            datastore: folder, or an opened datastore.
            lmbda: share of the datastore, in [0, 1].
            mode: which way.
            filter_p: as in Goodtriever: the datastore cannot bring back a token outside the base model's nucleus of
                this mass. 0 or 1 filters nothing, as published.
            k, temperature, exact, key_layer: as in Goodtriever.
        """

        datastore: str | Datastore | None = None
        lmbda: float = Field(0.25, ge=0, le=1)
        mode: Literal["interpolate", "discourage"] = "interpolate"
        filter_p: float = Field(1.0, ge=0, le=1)
        k: int = Field(1024, ge=1)
        temperature: float = Field(100.0, gt=0)
        exact: bool = False
        key_layer: str | None = None

    def __init__(self, model: PreTrainedModel, arguments: Arguments):
        if not arguments.datastore:
            raise missing_artifact("knn_lm", "datastore=…", "goodtriever")
        self.arguments = arguments
        self.truncates = 0 < arguments.filter_p < 1
        self.key_layer = key_layer(model, arguments.key_layer)
        self.datastore = Datastore.open(arguments.datastore, exact=arguments.exact)
        self.datastore.check(model, self.key_layer, arguments.k, "datastore")

    def scores(self, base: Tensor, streams: base.Streams, filtering: bool) -> Tensor:
        arguments = self.arguments
        found = self.datastore.search(streams.hidden, arguments.k)
        mix = interpolate if arguments.mode == "interpolate" else discourage

        def mixed(z: Tensor, near: Neighbours) -> Tensor:
            scores = mix(z, probabilities(near, arguments.temperature, z.shape[-1]), arguments.lmbda)
            return within(scores, z, arguments.filter_p) if filtering and self.truncates else scores

        return by_rows(mixed, base, found)
