"""``detoxbench leaderboard``: results into a static site; ``detoxbench leaderboard serve`` shows one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from typer.core import TyperGroup

from ...core.errors import DetoxbenchError

PORT = 8000


class _BuildByDefault(TyperGroup):
    """``leaderboard RESULTS…`` is ``leaderboard build RESULTS…``, and its help that of ``build``, with what the docs
    use; a folder called 'serve' is given as './serve'."""

    def parse_args(self, ctx, args):
        if args and args[0] not in self.commands:
            args = ["build", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_BuildByDefault,
    help="Results into a static site: detoxbench leaderboard RESULTS… --out site/",
    no_args_is_help=True,
    add_completion=False,
)


@app.command()
def build(
    results: Annotated[
        list[Path] | None, typer.Argument(help="folders or files that lm_eval --output_path wrote")
    ] = None,
    out: Annotated[Path, typer.Option(help="folder of the site; an earlier site in it is replaced")] = Path("site"),
    records: Annotated[
        Path | None, typer.Option(help="records folder: its runs join, and new ones are added to it")
    ] = None,
    samples: Annotated[int, typer.Option(min=0, help="prompts a language whose texts are shown; 0 for none")] = 20,
    continual: Annotated[
        list[Path] | None, typer.Option(help="continual.json of a study, or its folder: a page of its own; repeatable")
    ] = None,
    scorers: Annotated[
        list[Path] | None,
        typer.Option(
            help="reports of detoxbench validate, or folders of them, beside those that come along; repeatable"
        ),
    ] = None,
    url: Annotated[str, typer.Option(help="where the site will be, for previews of links to it")] = "",
    plots: Annotated[bool, typer.Option("--plots", help="also write the charts as SVG and PNG, in OUT/plots")] = False,
) -> None:
    """Results into a static site: detoxbench leaderboard RESULTS… --out site/. Then detoxbench leaderboard serve site/
    shows it here, or any web server. Files that are no results are reported and left out; exit status 1 if nothing is
    left."""
    from ...leaderboard import submissions
    from ...leaderboard.site import build as builder
    from ...leaderboard.site import continual as studies_of
    from ...leaderboard.site import sources
    from ...leaderboard.validity import known
    from . import site_cards

    studies = studies_of.read(continual or [])
    published = known.published(scorers or ())
    console, errors = Console(soft_wrap=True, highlight=False), Console(stderr=True, soft_wrap=True, highlight=False)
    if not results and records is None:
        raise DetoxbenchError("nothing to show: give folders of results, or --records FOLDER")
    found = sources.gather(results or [], records)
    for problem in found.problems:
        errors.print(f"left out: {problem}", markup=False)
    if found.problems and not found.records:
        errors.print("detoxbench: no run to show: every file was left out", markup=False)
        raise typer.Exit(1)
    draw = None
    if plots:
        from ...leaderboard.site.plots import draw
    tables = builder.build(
        found.records, out, samples=found.samples, each=samples, draw=draw, studies=studies,
        methods=site_cards.methods(), scorers=site_cards.scorers(), url=url, validity=published, runs=found.runs,
    )  # fmt: skip
    if records is not None:
        added = submissions.append(records, found.records)
        console.print(f"{len(added)} new {'record' if len(added) == 1 else 'records'} in {records}", markup=False)
    for table in tables:
        console.print(f"{table.title}: {len(table.rows)} {'run' if len(table.rows) == 1 else 'runs'}", markup=False)
    console.print(f"open {out / 'index.html'}, or: detoxbench leaderboard serve {out}", markup=False)


@app.command()
def serve(
    site: Annotated[Path, typer.Argument(help="folder of a site")] = Path("site"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = PORT,
) -> None:
    """Show a site at http://127.0.0.1:PORT, to this machine only, until Ctrl+C."""
    from ...leaderboard.site import serve as serving

    server = serving.server(site, port)
    typer.echo(f"http://127.0.0.1:{server.server_address[1]}/ (Ctrl+C ends)")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
