"""The datastores of Goodtriever and kNN-LM, as both declare them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from .. import settings
from ..declaration import Artifact, Fit, Growth, Made, Mini
from ..needs import Needs, Size, reading
from ..settings import Aside, Named
from .index import CODE_BYTES, EXACT_BELOW, SAMPLE_BYTES

INDEX_SECONDS, KEY_SECONDS = 90.0, 5e-5
"""Of training an index, and of adding one key to it (``benchmarks/datastore.py``)."""


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


def cost(size: Size, texts: Mapping[str, Any], settings: Settings) -> Needs:
    """Of the model that is read, and of keys and values, which lie twice on the disk until the datastore is whole. An
    index is made of many keys; how long that takes was measured with keys of dimension 1,024 on two cores."""
    counts = [size.tokens(one) for one in texts.values()]
    indexed = sum(count for count in counts if count >= EXACT_BELOW and not settings.exact)
    found = reading(size, texts, settings, scored=False)
    return Needs(
        found.memory + (2 * SAMPLE_BYTES if indexed else 0),
        int(2 * sum(counts) * (2 * size.dim + 4) + indexed * (CODE_BYTES + 8)),
        "fewer texts take less",
        found.operations,
        INDEX_SECONDS * bool(indexed) + KEY_SECONDS * indexed,
    )


FIT = Fit(
    name="datastores",
    summary="Datastores OUT/toxic and OUT/nontoxic, for Goodtriever and kNN-LM.",
    run=run,
    artifacts=(
        Artifact("toxic", "datastore of toxic text", "toxic", kind="datastore"),
        Artifact("nontoxic", "datastore of non-toxic text", "nontoxic", kind="datastore"),
    ),
    settings=Settings,
    cost=cost,
    grows=Growth("append"),
    # Of each template few sentences: more are near-duplicates, which only crowd the neighbours.
    mini=Mini(studies={"exact": True}, sentences=8, minutes=1.6),
)
