"""Whole boards as files: CSV and Parquet, one row a run, language and metric."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv, parquet

from .catalog import Entry
from .metrics import PRIMARY
from .tables import MACRO, Table

SCHEMA = pa.schema([
    ("run", pa.string()), ("model", pa.string()), ("method", pa.string()), ("language", pa.string()),
    ("metric", pa.string()), ("value", pa.float64()), ("low", pa.float64()), ("high", pa.float64()),
    ("rank", pa.int32()),
])  # fmt: skip
LARGE = 100
"""Runs of a board from which its CSV is packed."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def columns(table: Table) -> dict[str, list[Any]]:
    """Column -> values, in the order of ``SCHEMA``; what was not measured is left out."""
    found: list[tuple[Any, ...]] = []
    for row in table.rows:
        head = (row.record.id, _text(row.model), _text(row.name))
        for scope in (MACRO, *table.languages):
            for metric in table.metrics:
                estimate = row.estimate(metric, scope)
                if estimate[0] is not None:
                    found.append((*head, scope, metric, *estimate, row.ranks[scope] if metric == PRIMARY else None))
    return dict(zip(SCHEMA.names, map(list, zip(*found, strict=True)), strict=True)) if found else {}


def cell(value: str) -> str:
    """Text that a spreadsheet would run as a formula gets an apostrophe before it (OWASP, CSV injection)."""
    return "'" + value if value.startswith(FORMULA) else value


def _text(value: str) -> str:
    """Without lone surrogates, which no file of these kinds can hold."""
    return value.encode("utf-8", "replace").decode("utf-8")


def write(folder: Path, name: str, table: Table) -> None:
    """``NAME.csv``, packed by gzip where the board is large, and ``NAME.parquet``."""
    folder.mkdir(parents=True, exist_ok=True)
    found = columns(table) or {column: [] for column in SCHEMA.names}
    parquet.write_table(pa.table(found, schema=SCHEMA), folder / f"{name}.parquet", compression="zstd")
    safe = {column: [cell(text) for text in found[column]] for column in ("model", "method", "language", "metric")}
    whole = pa.table({**found, **safe}, schema=SCHEMA)
    if packed(table):
        with pa.CompressedOutputStream(str(folder / f"{name}.csv.gz"), "gzip") as file:
            csv.write_csv(whole, file)
    else:
        csv.write_csv(whole, folder / f"{name}.csv")


def packed(table: Table) -> bool:
    """Whether the board's CSV is one that is packed."""
    return len(table.rows) > LARGE


def write_references(folder: Path, entries: Sequence[Entry]) -> None:
    """``references.bib``: the papers of the methods and scorers that have cards."""
    folder.mkdir(parents=True, exist_ok=True)
    found = dict.fromkeys(entry.card.citation.strip() for entry in entries if entry.card and entry.card.citation)
    if found:
        (folder / "references.bib").write_text("\n\n".join(found) + "\n", encoding="utf-8")
