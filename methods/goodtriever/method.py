"""Goodtriever: toxic and non-toxic datastores steer a base model (Pozzobon et al., EMNLP Findings 2023)."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from ...core import mini
from .. import base
from ..guidance.nucleus import nucleus
from ..guidance.rows import by_rows
from ..loading import missing_artifact, vocab_size
from ..retrieval import declaration
from ..retrieval.contexts import looked_up
from ..retrieval.datastore import Datastore, layer_of
from ..retrieval.knn import Neighbours, log_probabilities
from .imports import IMPORTER

ABOUT = base.About(
    summary="Two datastores of toxic and non-toxic text steer the base model at every token.",
    paper="Pozzobon et al., Findings of EMNLP 2023",
    bibtex="""@inproceedings{pozzobon-etal-2023-goodtriever,
  title     = {Goodtriever: Adaptive Toxicity Mitigation with Retrieval-augmented Models},
  author    = {Pozzobon, Luiza and Ermis, Beyza and Lewis, Patrick and Hooker, Sara},
  booktitle = {Findings of the Association for Computational Linguistics: EMNLP 2023},
  year      = {2023},
  url       = {https://aclanthology.org/2023.findings-emnlp.339}
}""",
    url="https://aclanthology.org/2023.findings-emnlp.339",
)


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

    about = ABOUT
    fit = declaration.FIT
    uses = (base.Use("toxic_datastore", "toxic"), base.Use("nontoxic_datastore", "nontoxic"))
    imports = IMPORTER

    class Arguments(base.Arguments):
        toxic_datastore: str | Datastore | None = Field(None, description="folder, or an opened datastore")
        nontoxic_datastore: str | Datastore | None = Field(None, description="the same")
        alpha: float = Field(2.0, ge=0, description="strength")
        k: int = Field(1024, ge=1, description="neighbours")
        temperature: float = Field(100.0, gt=0, description="of the neighbours' weights")
        filter_p: float = Field(0.9, ge=0, le=1, description="nucleus mass of the base model; 0 or 1 filters nothing")
        exact: bool = Field(False, description="search exactly, whatever index the datastores have")
        key_layer: str | None = Field(None, description="module whose input is the key; default: the architecture's")

    def __init__(self, model: PreTrainedModel, arguments: Arguments):
        given = {"toxic": arguments.toxic_datastore, "nontoxic": arguments.nontoxic_datastore}
        if not any(given.values()):
            raise missing_artifact("goodtriever", "toxic_datastore=… or nontoxic_datastore=… or both", "goodtriever")
        self.arguments = arguments
        self.vocab = vocab_size(model)
        self.truncates = 0 < arguments.filter_p < 1
        self.datastores = {
            name: Datastore.open(source, exact=arguments.exact) for name, source in given.items() if source
        }
        self.key_layer = layer_of(model, arguments.key_layer, self.datastores.values())
        for name, store in self.datastores.items():
            store.check(model, self.key_layer, arguments.k, f"{name} datastore")
            # On the embedded model the published temperature is flat: that is known, and says nothing of real ones.
            if "temperature" in arguments.model_fields_set or Path(str(model.name_or_path)) != mini.MODEL:
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

    def parts(self, streams: base.Streams, looking: base.Looking) -> base.Parts:
        """The distributions of both datastores' neighbours."""
        return looked_up(self.datastores, streams, self.vocab, self.arguments, looking)
