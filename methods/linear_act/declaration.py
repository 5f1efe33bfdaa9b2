"""Maps of activations, as linear transport and the transport of means declare them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..declaration import Artifact, Fit, Growth, Made, Mini
from ..needs import Needs, Size, reading
from .settings import KIND, NAME, Settings

PAPER = "Rodriguez et al., ICLR 2025"
URL = "https://arxiv.org/abs/2410.23054"
BIBTEX = """@inproceedings{rodriguez2025controlling,
  title     = {Controlling Language and Diffusion Models by Transporting Activations},
  author    = {Rodriguez, Pau and Blaas, Arno and Klein, Michal and Zappella, Luca and Apostoloff, Nicholas
               and Cuturi, Marco and Suau, Xavier},
  booktitle = {The Thirteenth International Conference on Learning Representations},
  year      = {2025},
  url       = {https://arxiv.org/abs/2410.23054}
}"""


def run(
    pretrained: str,
    out: Path,
    *,
    texts: Mapping[str, Any],
    settings: Settings,
    revision: str | None = None,
    device: str | None = None,
) -> Made:
    """Fit the artifacts as the declaration has it (``fit``), and say what was made."""
    from .fit import fit, summary

    path = fit(pretrained, out, **texts, settings=settings, revision=revision, device=device)
    return Made({NAME: path}, [{"vectors": str(path), **summary(path)}])


def cost(size: Size, texts: Mapping[str, Any], settings: Settings) -> Needs:
    """Two places a block, of which each wants a pass that ends there."""
    return reading(size, texts, settings, kept=2, times=size.layers if settings.incremental else 1)


FIT = Fit(
    name=NAME,
    summary="A map OUT/linear_act of every neuron, from its responses to toxic onto those to non-toxic texts.",
    run=run,
    artifacts=(Artifact(NAME, "a map of each neuron at the places that were chosen", "both", kind=KIND),),
    settings=Settings,
    cost=cost,
    needs=("toxic", "nontoxic"),
    grows=Growth("retrain"),
    mini=Mini({"texts": 300, "block_size": 64}, minutes=0.2),
)
