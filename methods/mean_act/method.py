"""Mean-AcT: each neuron's responses are shifted by a difference of means (Rodriguez et al., ICLR 2025)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from torch import Tensor
from transformers import PreTrainedModel

from .. import base
from ..linear_act import transport
from ..linear_act.declaration import BIBTEX, FIT, PAPER, URL
from ..linear_act.settings import NAME as ARTIFACT

NAME = "mean_act"


class MeanAcT(base.ActivationMethod):
    """Activation addition: the shift alone, wherever a response lies."""

    about = base.About(
        summary="Each neuron's responses are shifted by the difference of means between toxic and harmless text.",
        paper=PAPER,
        bibtex=BIBTEX,
        url=URL,
    )
    fit = FIT
    fit_settings = MappingProxyType({"map": "mean"})
    uses = (base.Use("vectors", ARTIFACT),)
    Arguments = transport.Arguments

    def __init__(self, model: PreTrainedModel, arguments: transport.Arguments):
        self.transport = transport.opened(NAME, model, arguments, transport.MEAN)
        self.places = self.transport.places

    def states(self, place: str, states: Tensor, beside: Mapping[str, Tensor]) -> Tensor:
        """See ``transport.transported``."""
        return self.transport.states(place, states, beside)
