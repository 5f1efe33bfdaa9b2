"""Records -> a folder of static pages that work from any path, or opened as files, without a server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jinja2

from ...core.errors import DetoxbenchError
from ..reading import Samples
from ..submissions import RunRecord, slim
from . import charts, continual, data, downloads, published, ranks
from .metrics import PAIRED, describe
from .replacing import replaced_folder
from .sources import uncollected
from .tables import Table, tables
from .themes import DARK, LIGHT, config

HERE = Path(__file__).parent
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; connect-src 'none'; object-src 'none'"
)
"""Nothing but the site's own files runs or loads: no inline script, no eval, no other host."""
VEGA = ("static/vendored/vega.min.js", "static/vendored/vega-lite.min.js",
        "static/vendored/vega-interpreter.min.js", "static/charts.js")  # fmt: skip
SHARED = ("static/view.js",)
TABLE = "static/vendored/table-core.min.js"
MARK = "detoxbench-site.json"
"""In every built site: what may be replaced by the next build."""
SAMPLES = 20
"""Prompts a language whose continuations are shown."""


@dataclass(frozen=True)
class Page:
    """A page: its file, title, place in the menu and scripts beside the index."""

    page: str
    title: str
    menu: str
    scripts: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        return f"{self.page}.html"


PAGES = (
    Page("index", "Overview", "Overview",
         (TABLE, *SHARED, "static/downloads.js", "static/table.js", "static/overview.js")),
    Page("tradeoff", "Trade-off", "Trade-off", (*VEGA, *SHARED, "static/tradeoff.js")),
    Page("languages", "Languages", "Languages", (*VEGA, *SHARED, "static/languages.js")),
    Page("compare", "Compare", "Compare", (*VEGA, *SHARED, "static/statistics.js", "static/compare.js")),
    Page("published", "Published numbers", "Published"),
    Page("about", "About", "About"),
    Page("run", "Run", "", (*VEGA, *SHARED, "static/samples.js", "static/run.js")),
)  # fmt: skip


CONTINUAL = Page("continual", "Continual mitigation", "Continual")
"""In sites that were given a continual study."""


def build(
    records: Sequence[RunRecord],
    out: Path,
    *,
    samples: Mapping[str, Samples] | None = None,
    each: int = SAMPLES,
    draw: Callable[[Path, Table], object] | None = None,
    studies: Sequence[Mapping[str, Any]] = (),
) -> list[Table]:
    """Write the site; a site that an earlier build left in ``out`` is replaced as a whole.

    Args:
        records: runs; none gives a site that says so.
        out: the folder.
        samples: id of a record -> its samples, for those whose texts are shown.
        each: prompts a language that are shown of a run with samples.
        draw: writes a board's charts as images into a folder; see ``plots``.
        studies: what ``detoxbench continual`` wrote.

    Returns:
        The boards.

    Raises:
        DetoxbenchError: if ``out`` holds anything but such a site.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / MARK).exists())):
        raise DetoxbenchError(f"'{out}' exists and is no site of detoxbench: choose another folder, or remove it first")
    with replaced_folder(out) as partial:
        with uncollected():
            found = tables([slim(record, PAIRED) for record in records])
            _write(partial, found, samples or {}, each, continual.view(studies))
        for table in found:
            if draw is not None:
                draw(partial / "plots", table)
    return found


def _write(
    out: Path, found: Sequence[Table], samples: Mapping[str, Samples], each: int, studies: Sequence[Mapping[str, Any]]
) -> None:
    facts = {"version": _version(), "built": datetime.now(timezone.utc).strftime("%Y-%m-%d")}
    runs = sum(len(table.rows) for table in found)
    shutil.copytree(HERE / "static", out / "static")
    shutil.copytree(HERE / "vendored", out / "static" / "vendored", ignore=shutil.ignore_patterns("*.sh"))
    (out / "data").mkdir()
    _put(out, "index", data.index(found, facts))
    _put(out, "charts", {
        "specs": {name: make() for name, make in charts.CHARTS.items()},
        "themes": {"light": LIGHT, "dark": DARK},
        "configs": {"light": config(LIGHT), "dark": config(DARK)},
    })  # fmt: skip
    for table in found:
        _put(out, f"b-{table.id}", data.board(table))
        for metric in table.metrics:
            _put(out, f"m-{table.id}-{metric}", data.by_language(table, metric))
        downloads.write(out / "downloads", f"board-{table.id}", table)
        for row in table.rows:
            shown = data.shown_samples(samples.get(row.record.id, {}), each) if each else {}
            name = f"r-{row.record.id}"
            (out / "data" / f"{name}.js").write_text(data.run(row, table, bool(shown)), encoding="ascii")
            if shown:
                _put(out, f"s-{row.record.id}", shown)
    _write_pages(out, found, {**facts, "runs": runs}, studies)
    (out / MARK).write_text(json.dumps({**facts, "runs": runs}) + "\n", encoding="utf-8")
    (out / ".nojekyll").touch()


def _put(out: Path, name: str, content: Any) -> None:
    (out / "data" / f"{name}.js").write_text(data.script(name, content), encoding="ascii")


def _write_pages(
    out: Path, found: Sequence[Table], facts: Mapping[str, Any], studies: Sequence[Mapping[str, Any]]
) -> None:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    names = dict.fromkeys(name for table in found for name in table.metrics)
    figures = published.read()
    (out / "downloads").mkdir(exist_ok=True)
    shutil.copyfile(published.FOLDER / "published.csv", out / "downloads" / "published.csv")
    pages = (*PAGES[:-1], CONTINUAL, PAGES[-1]) if studies else PAGES
    for page in pages:
        charted = ("data/charts.js",) if VEGA[0] in page.scripts else ()
        text = environment.get_template(f"{page.page}.html.j2").render(
            **facts,
            page=page.page,
            title=page.title,
            pages=pages,
            studies=studies,
            policy=POLICY,
            scripts=(*charted, *page.scripts),
            metrics=describe(names).values(),
            papers=published.papers(figures),
            many=ranks.MANY,
            vendored=json.loads((HERE / "vendored" / "vendored.json").read_text(encoding="utf-8")),
        )
        (out / page.file).write_text(text, encoding="utf-8")


def _version() -> str:
    try:
        return version("detoxbench")
    except PackageNotFoundError:
        return "0"
