"""Where the runs of a site come from: results of lm-eval and a records folder; what is wrong is told, not raised."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ...core import results
from ...core.errors import DetoxbenchError
from ...core.results import Run
from .. import submissions as store
from ..reading import Samples, from_results
from ..submissions import RunRecord
from ..validation import check
from .metrics import PAIRED


@dataclass
class Sources:
    """What was found.

    Attributes:
        records: one a run, those of the results first; those of the folder have only ``PAIRED`` by prompt.
        samples: id of a record -> its texts, for runs read from results.
        runs: id of a record -> the run it was read from, for runs read from results.
        problems: one line a file that was left out.
    """

    records: list[RunRecord] = field(default_factory=list)
    samples: dict[str, Samples] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def gather(paths: Sequence[Path], folder: Path | None = None) -> Sources:
    """All runs below some folders of results, and in a records folder.

    Args:
        paths: folders or results files.
        folder: of records; it need not exist yet.

    Raises:
        DetoxbenchError: if one of ``paths`` is not there or has no results in it.
    """
    found = Sources()
    with uncollected():
        _gather(found, paths, folder)
    found.records = list({record.id: record for record in reversed(found.records)}.values())[::-1]
    return found


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the garbage collector, which would go through millions of numbers again and again, and find nothing."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _gather(found: Sources, paths: Sequence[Path], folder: Path | None) -> None:
    for path in dict.fromkeys(file for given in paths for file in results.find(given)):
        try:
            for record, samples in from_results(path):
                found.records.append(record)
                found.samples[record.id] = samples
                found.runs[record.id] = results.read(path)
        except DetoxbenchError as error:
            found.problems.append(_line(error))
    for path in sorted(folder.glob("*.json")) if folder is not None and folder.is_dir() else []:
        try:
            # Thousands of runs with everything that was measured of each prompt would take gigabytes.
            found.records.append(store.slim(check(store.read(path), str(path)), PAIRED))
        except DetoxbenchError as error:
            found.problems.append(_line(error))


def _line(error: DetoxbenchError) -> str:
    """In one line, without control characters: names of files and of fields may hold anything."""
    return "".join(sign if sign.isprintable() else " " for sign in str(error))[:500]
