"""Goodtriever: toxic and non-toxic datastores steer a base model (Pozzobon et al., EMNLP Findings 2023)."""

from __future__ import annotations

import functools
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from .. import base
from ..guidance.nucleus import nucleus
from ..guidance.rows import by_rows
from ..loading import missing_artifact
from ..retrieval.datastore import Datastore, layer_of
from ..retrieval.knn import Neighbours, log_probabilities


def ensemble(
    z: Tensor,
    toxic: Neighbours | None,
    nontoxic: Neighbours | None,
    *,
    alpha: float,
    temperature: float,
    filter_p: float,
) -> Tensor:
    """``log_softmax(top_p(logp, filter_p) + alpha * (log p_nontoxic - log p_toxic))`` (eq. 2).

    For a missing datastore ``logp`` itself, unfiltered, stands in. The softmax ignores what a whole row shares, so z
    serves as ``logp``.

    Args:
        z: float32 ``[rows, vocab]`` base scores.
        toxic: of each row; None for one datastore only.
        nontoxic: the same.
        alpha: strength, at least 0.
        temperature: of the neighbours' weights, > 0.
        filter_p: nucleus mass of the base model; 0 or 1 filters nothing.

    Returns:
        float32 log-probabilities ``[rows, vocab]``.
    """
    kept = nucleus(z, filter_p)
    log_toxic, log_nontoxic = (
        kept.of(z) if found is None else log_probabilities(found, temperature, z.shape[-1], kept.tokens)
        for found in (toxic, nontoxic)
    )
    steered = kept.scores + (log_nontoxic - log_toxic).mul_(alpha)
    # A token that the base model rules out stays so: -inf minus -inf is no number.
    steered.masked_fill_(kept.scores.isneginf(), -torch.inf)
    return kept.spread(steered.log_softmax(-1))


class Goodtriever(base.LogitMethod):
    """One of the two datastores may be left out."""

    kind: ClassVar[str] = "logit"

    class Arguments(base.Arguments):
        """
        Args:
            toxic_datastore: folder, or an opened datastore.
            nontoxic_datastore: the same.
            k: neighbours.
            key_layer: module whose input is the key; by default the architecture's.
            exact: search exactly, whatever index the datastores have.
        """

        toxic_datastore: str | Datastore | None = None
        nontoxic_datastore: str | Datastore | None = None
        alpha: float = Field(2.0, ge=0)
        k: int = Field(1024, ge=1)
        temperature: float = Field(100.0, gt=0)
        filter_p: float = Field(0.9, ge=0, le=1)
        exact: bool = False
        key_layer: str | None = None

    def __init__(self, model: PreTrainedModel, arguments: Arguments):
        given = {"toxic": arguments.toxic_datastore, "nontoxic": arguments.nontoxic_datastore}
        if not any(given.values()):
            raise missing_artifact("goodtriever", "toxic_datastore=… or nontoxic_datastore=… or both", "goodtriever")
        self.arguments = arguments
        self.truncates = 0 < arguments.filter_p < 1
        self.datastores = {
            name: Datastore.open(source, exact=arguments.exact) for name, source in given.items() if source
        }
        self.key_layer = layer_of(model, arguments.key_layer, self.datastores.values())
        for name, store in self.datastores.items():
            store.check(model, self.key_layer, arguments.k, f"{name} datastore")
            store.warn_if_flat(arguments.k, arguments.temperature, f"{name} datastore")

    def scores(self, base: Tensor, streams: base.Streams, filtering: bool) -> Tensor:
        arguments = self.arguments
        found = {name: store.search(streams.hidden, arguments.k) for name, store in self.datastores.items()}
        steer = functools.partial(
            ensemble,
            alpha=arguments.alpha,
            temperature=arguments.temperature,
            filter_p=arguments.filter_p if filtering else 0.0,
        )
        return by_rows(steer, base, found.get("toxic"), found.get("nontoxic"))
