"""Records -> a folder of static pages that work from any path, or opened as files, without a server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ...core.errors import DetoxbenchError
from ...core.results import Run
from ..rankings import stabilities
from ..reading import Samples
from ..submissions import RunRecord, slim
from ..validity.records import ValidityRecord
from . import cards, catalog, charts, continual, data, downloads, pages, people
from .metrics import PAIRED
from .replacing import replaced_folder
from .sources import uncollected
from .tables import Table, tables
from .themes import DARK, LIGHT, config

HERE = Path(__file__).parent
MARK = "detoxbench-site.json"
"""In every built site: what may be replaced by the next build."""
SAMPLES = 20
"""Prompts a language whose continuations are shown."""


def build(
    records: Sequence[RunRecord],
    out: Path,
    *,
    samples: Mapping[str, Samples] | None = None,
    each: int = SAMPLES,
    draw: Callable[[Path, Table], Sequence[Path]] | None = None,
    studies: Sequence[Mapping[str, Any]] = (),
    methods: Sequence[cards.Card | Mapping[str, Any]] = (),
    scorers: Sequence[cards.Card | Mapping[str, Any]] = (),
    url: str = "",
    validity: Sequence[ValidityRecord] = (),
    runs: Mapping[str, Run] | None = None,
) -> list[Table]:
    """Write the site; a site that an earlier build left in ``out`` is replaced as a whole.

    Args:
        records: runs, as ``sources.gather`` gives them; none gives a site that says so.
        out: the folder.
        samples: id of a record -> its samples, for those whose texts are shown.
        each: prompts a language that are shown of a run with samples.
        draw: writes a board's charts as images into a folder; see ``plots``.
        studies: what ``detoxbench continual`` wrote.
        methods, scorers: what is known of them beside their numbers, as ``cards.Card`` or its fields.
        url: where the site will be, for previews of links to it.
        runs: id of a record -> the run it was read from: their shares of toxic texts are corrected by ``validity``.
        validity: published, of scorers: a page of its own, and marks on every page.

    Returns:
        The boards.

    Raises:
        DetoxbenchError: if ``out`` holds anything but such a site; a card or a study that is damaged.
        WriteError: if it cannot be written; the earlier site is then as it was.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / MARK).exists())):
        raise DetoxbenchError(f"'{out}' exists and is no site of detoxbench: choose another folder, or remove it first")
    known = cards.read(methods), cards.read(scorers)
    shown = continual.view(studies)
    with replaced_folder(out) as partial:
        with uncollected():
            found = tables([slim(record, PAIRED) for record in records], validity)
            stability = stabilities(records)
            judged = people.view(found, runs or {}, validity)
            facts = {
                "version": _version(), "built": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
                "runs": sum(len(table.rows) for table in found),
            }  # fmt: skip
            entries = catalog.entries(found, *known, validity)
            drawn = [path for table in found for path in draw(partial / "plots", table)] if draw is not None else []
            _write_data(partial, found, samples or {}, each, facts, entries)
        pictures = [path.relative_to(partial).as_posix() for path in drawn]
        address = url if not url or url.endswith("/") else url + "/"
        pages.write(
            partial, pages.Content(found, entries, shown, facts, address, pictures, validity, stability, judged)
        )
        (partial / MARK).write_text(json.dumps(facts) + "\n", encoding="utf-8")
        (partial / ".nojekyll").touch()
    return found


def _write_data(
    out: Path, found: Sequence[Table], samples: Mapping[str, Samples], each: int, facts: Mapping[str, Any],
    entries: Sequence[catalog.Entry],
) -> None:  # fmt: skip
    shutil.copytree(HERE / "static", out / "static")
    shutil.copytree(HERE / "vendored", out / "static" / "vendored", ignore=shutil.ignore_patterns("*.sh"))
    (out / "data").mkdir()
    _put(out, "index", data.index(found, facts, entries))
    _put(out, "charts", {
        "specs": {name: make() for name, make in charts.CHARTS.items()},
        "themes": {"light": LIGHT, "dark": DARK},
        "configs": {"light": config(LIGHT), "dark": config(DARK)},
    })  # fmt: skip
    downloads.write_references(out / "downloads", entries)
    for table in found:
        _put(out, f"b-{table.id}", data.board(table))
        for metric in table.metrics:
            _put(out, data.shard(table.id, metric), data.by_language(table, metric))
        downloads.write(out / "downloads", f"board-{table.id}", table)
        for row in table.rows:
            shown = data.shown_samples(samples.get(row.record.id, {}), each) if each else {}
            pages = {name: data.pages_of_samples(row.record.id, name, prompts) for name, prompts in shown.items()}
            counts = {name: len(found) for name, found in pages.items()}
            (out / "data" / f"r-{row.record.id}.js").write_text(data.run(row, table, counts), encoding="ascii")
            for files in pages.values():
                for name, prompts in files.items():
                    _put(out, name, prompts)


def _put(out: Path, name: str, content: Any) -> None:
    (out / "data" / f"{name}.js").write_text(data.script(name, content), encoding="ascii")


def _version() -> str:
    try:
        return version("detoxbench")
    except PackageNotFoundError:
        return "0"
