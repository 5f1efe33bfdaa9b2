"""The HTML pages, from templates: those with a board, and one for each method, metric, scorer and model."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

import jinja2

from ...core.parsing import parse_json
from ..rankings import Stability
from ..validity.known import FOOTNOTES, MARKS
from ..validity.records import ValidityRecord
from . import people, published, ranks, scorers, static_tables
from .catalog import KINDS, Entry
from .findings import findings
from .headline import headline
from .metrics import MARGIN, describe
from .tables import Table

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
PICTURE = "tradeoff"
"""The chart that stands for a board where a page is shared."""


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
         (TABLE, *SHARED, "static/packing.js", "static/exports.js", "static/downloads.js", "static/thumbnail.js",
          "static/table.js", "static/overview.js")),
    Page("tradeoff", "Trade-off", "Trade-off", (*VEGA, *SHARED, "static/packing.js", "static/tradeoff.js")),
    Page("languages", "Languages", "Languages", (*VEGA, *SHARED, "static/languages.js")),
    Page("compare", "Compare", "Compare",
         (*VEGA, *SHARED, "static/packing.js", "static/statistics.js", "static/compare.js")),
    Page("catalog", "Methods, models, metrics, scorers", "Methods"),
    Page("scorers", "Scorers", "Scorers", ("static/scorers.js",)),
    Page("published", "Published numbers", "Published"),
    Page("contribute", "Add a run", "Add a run"),
    Page("about", "About", "About"),
    Page("run", "Run", "", (*VEGA, *SHARED, "static/packing.js", "static/samples.js", "static/run.js")),
)  # fmt: skip
CONTINUAL = Page("continual", "Continual mitigation", "Continual")
"""In sites that were given a continual study."""


@dataclass(frozen=True)
class Content:
    """What the pages show.

    Args:
        found: the boards.
        entries: pages of methods, models, metrics and scorers.
        studies: continual studies.
        facts: version, date and number of runs.
        url: where the site will be, with a slash at its end; empty where that is not known.
        pictures: files that were drawn, relative to the site.
        validity: published, of scorers.
        people: shares of toxic texts as people would judge them.
        stability: of the runs' ranking, under every two scorers.
    """

    found: Sequence[Table]
    entries: Sequence[Entry]
    studies: Sequence[Mapping[str, Any]]
    facts: Mapping[str, Any]
    url: str = ""
    pictures: Iterable[str] = field(default_factory=tuple)
    validity: Sequence[ValidityRecord] = ()
    stability: Sequence[Stability] = ()
    people: Sequence[people.Judged] = ()


def write(out: Path, content: Content) -> None:
    """Every page of a site."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    (out / "downloads").mkdir(exist_ok=True)
    shutil.copyfile(published.FOLDER / "published.csv", out / "downloads" / "published.csv")
    pages = (*PAGES[:-1], CONTINUAL, PAGES[-1]) if content.studies else PAGES
    shared = _shared(content, pages)
    for page in pages:
        charted = ("data/charts.js",) if VEGA[0] in page.scripts else ()
        scripts = ("data/index.js", *charted, *page.scripts) if page.scripts else ()
        text = environment.get_template(f"{page.page}.html.j2").render(
            **shared, page=page.page, file=page.file, title=page.title, scripts=scripts
        )
        (out / page.file).write_text(text, encoding="utf-8")
    for entry in content.entries:
        text = environment.get_template("entry.html.j2").render(
            **shared, page="catalog", file=entry.file, title=static_tables.clean(entry.title), scripts=(), entry=entry
        )
        (out / entry.file).write_text(text, encoding="utf-8")
    files = [
        {"file": path.name, "size": _size(path.stat().st_size), "what": _what(path, content.found)}
        for path in sorted((out / "downloads").iterdir())
    ]
    text = environment.get_template("downloads.html.j2").render(
        **{**shared, "root": "../"}, page="downloads", file="downloads/index.html", title="Downloads", scripts=(),
        listed=files,
    )  # fmt: skip
    (out / "downloads" / "index.html").write_text(text, encoding="utf-8")


def _shared(content: Content, pages: Sequence[Page]) -> dict[str, Any]:
    found = content.found
    names = dict.fromkeys(name for table in found for name in table.metrics)
    first = found[0] if found else None
    files = {(entry.kind, entry.name): entry.file for entry in content.entries}
    return {
        **content.facts,
        "root": "",
        "url": content.url,
        "pages": pages,
        "studies": content.studies,
        "policy": POLICY,
        "boards": [static_tables.board(table) for table in found],
        "changes": [static_tables.by_language(table) for table in found],
        "headline": headline(findings(first), first) if first else None,
        "picture": _picture(content),
        "entries": content.entries,
        "kinds": KINDS,
        "files": files,
        "board": scorers.view(content.validity, content.stability, files),
        "people": content.people,
        "footnotes": [(MARKS[state], words) for state, words in FOOTNOTES.items()],
        "metrics": describe(names).values(),
        "papers": published.papers(published.read()),
        "many": ranks.MANY,
        "margin": MARGIN,
        "links": links(),
        "vendored": parse_json((HERE / "vendored" / "vendored.json").read_text(encoding="utf-8")),
    }


def _picture(content: Content) -> str:
    """Of the first board, for previews of links; these want an address of its own."""
    wanted = f"plots/{content.found[0].id}-{PICTURE}.png" if content.found else ""
    return content.url + wanted if wanted in set(content.pictures) else ""


def links() -> dict[str, str]:
    """The project's own addresses, as the package declares them."""
    try:
        declared = metadata("detoxbench").get_all("Project-URL") or []
    except PackageNotFoundError:
        return {}
    pairs = (entry.partition(", ") for entry in declared)
    return {name: address for name, _, address in pairs if address.startswith("https://")}


def _what(path: Path, found: Sequence[Table]) -> str:
    for table in found:
        if path.name.startswith(f"board-{table.id}"):
            return table.title
    return "Numbers of the papers, as printed" if path.name == "published.csv" else "References in BibTeX"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} kB"
