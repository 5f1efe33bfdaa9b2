"""The datastores of Goodtriever and kNN-LM, as both declare them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from .. import settings
from ..declaration import Artifact, Fit, Growth, Made, Mini
from ..settings import Aside, Named


class Settings(settings.Settings):
    """Of building or growing a datastore."""

    exact: bool = Field(False, description="never build an approximate index")
    retrain: Annotated[bool, Aside()] = Field(False, description="with --append: train the index anew")
    layer: Annotated[str | None, Named("key_layer")] = Field(None, description="module whose input is the key")
    max_length: int | None = Field(None, ge=2, description="tokens of a row; default: the model's positions")
    batch_tokens: Annotated[int | None, Aside()] = Field(None, ge=1, description="of a forward pass; bounds the memory")


def run(
    pretrained: str,
    out: Path,
    *,
    texts: Mapping[str, Any],
    settings: Settings,
    revision: str | None = None,
    device: str | None = None,
    append: bool = False,
) -> Made:
    """Fit the artifacts as the declaration has it (``fit``), and say what was made."""
    from .fit import fit

    made = fit(pretrained, out, **texts, append=append, **settings.model_dump(), revision=revision, device=device)
    rows = []
    for side, store in made.items():
        index, recall = store.manifest["index"], store.manifest["recall"]
        size = sum(path.stat().st_size for path in store.path.iterdir()) / 2**20
        rows.append({
            "datastore": str(out / side), "keys": f"{store.count:,}", "dim": str(store.dim),
            "index": index["kind"] if index else "exact",
            "recall": f"{recall['value']:.3f} at {recall['k']}" if recall else "1", "MiB": f"{size:,.1f}",
        })  # fmt: skip
    return Made({side: out / side for side in made}, rows)


FIT = Fit(
    name="datastores",
    summary="Datastores OUT/toxic and OUT/nontoxic, for Goodtriever and kNN-LM.",
    run=run,
    artifacts=(
        Artifact("toxic", "datastore of toxic text", "toxic", kind="datastore"),
        Artifact("nontoxic", "datastore of non-toxic text", "nontoxic", kind="datastore"),
    ),
    settings=Settings,
    grows=Growth("append"),
    # Of each template few sentences: more are near-duplicates, which only crowd the neighbours.
    mini=Mini(studies={"exact": True}, sentences=8, minutes=1.6),
)
