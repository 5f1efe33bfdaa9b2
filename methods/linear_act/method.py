"""Linear-AcT: each neuron's responses are carried from the toxic to the harmless ones (Rodriguez et al., ICLR 2025)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from torch import Tensor
from transformers import PreTrainedModel

from .. import base
from . import transport
from .declaration import BIBTEX, FIT, PAPER, URL
from .settings import NAME


class LinearAcT(base.ActivationMethod):
    """One-dimensional optimal transport, linear: see ``transport``."""

    about = base.About(
        summary="Each neuron's responses are carried linearly from those to toxic onto those to harmless text.",
        paper=PAPER,
        bibtex=BIBTEX,
        url=URL,
    )
    fit = FIT
    fit_settings = MappingProxyType({"map": "linear"})
    uses = (base.Use("vectors", NAME),)
    Arguments = transport.Arguments

    def __init__(self, model: PreTrainedModel, arguments: transport.Arguments):
        self.transport = transport.opened(NAME, model, arguments, transport.LINEAR)
        self.places = self.transport.places

    def states(self, place: str, states: Tensor, beside: Mapping[str, Tensor]) -> Tensor:
        """See ``transport.transported``."""
        return self.transport.states(place, states, beside)
