"""``detoxbench continual``: add one language or domain at a time, evaluate all of them after each step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...core import continual_file
from ...core.errors import unknown
from ..continual import report, spec
from ..study_file import shipped_or_given

STUDIES = Path(spec.__file__).parent / "studies"
WIDTH = 220


def continual(
    study: Annotated[
        str, typer.Argument(help="YAML file, or the name of a shipped study (--list)", metavar="STUDY")
    ] = "",
    out: Annotated[
        Path | None, typer.Option(help="folder of the study; default: its name; run again, it goes on")
    ] = None,
    keep: Annotated[str, typer.Option(help="artifacts that stay: all, last (of each order) or none")] = "last",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the steps and what is done; run nothing")] = False,
    metric: Annotated[str | None, typer.Option(help="shown and drawn; default: the study's first")] = None,
    plots: Annotated[bool, typer.Option("--plots", help="heat maps as SVG and PNG, in OUT/plots")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="print the matrices as Markdown")] = False,
    shipped: Annotated[bool, typer.Option("--list", help="names of the shipped studies")] = False,
) -> None:
    """Artifacts grow, are trained anew, or gain one more vector: one language or domain a step, all of them evaluated
    after each. OUT/continual.json has the matrix step x language with intervals, the change
    against the base, transfer, forgetting and order effects; OUT/runs is for detoxbench report and compare."""
    if shipped:
        typer.echo("\n".join(sorted(path.stem for path in STUDIES.glob("*.yaml"))))
        return
    path = shipped_or_given(study, STUDIES, "continual")
    read = spec.read(path)
    if metric is not None and metric not in read.metrics:
        raise unknown("metric of the study", metric, read.metrics)
    from ..continual import plot
    from ..continual import run as runner

    if plots:
        plot.converter()
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    folder = out or Path(path.stem)
    job = runner.Study(
        read, folder, root=path.parent, keep=keep, say=lambda line: console.print(line, markup=False, style="bold")
    )
    if dry_run:
        _plan(job, runner.cells(read))
        return
    content = report.summarize(job, job.run())
    continual_file.write(folder / continual_file.NAME, content)
    chosen = metric or read.metrics[0]
    if markdown:
        typer.echo("\n".join(report.markdown(content, chosen)))
    else:
        _show(content, chosen)
    for name in read.metrics if plots else ():
        for file in plot.draw(content, name, folder / "plots"):
            console.print(str(file), markup=False)
    console.print(f"{folder / continual_file.NAME}; detoxbench report {folder / 'runs'}; "
                  f"detoxbench leaderboard {folder / 'runs'} --continual {folder}", markup=False)  # fmt: skip


def _plan(job: Any, cells: list[Any]) -> None:
    """What would run."""
    table = Table("", "step", "texts added", "generations", "state", title=escape(f"{len(cells)} runs in {job.out}"))
    prompts = job.spec.limit
    for number, cell in enumerate(cells, start=1):
        added = cell.steps if cell.at_once else cell.steps[-1:]
        counts = [job.data.counts(cell.variant, step) for step in added]
        texts = ", ".join(f"{sum(one.get(side, 0) for one in counts):,} {side}" for side in ("toxic", "nontoxic"))
        many = f"{len(job.tasks)} tasks x {f'{prompts:,}' if prompts else 'all'} prompts x {job.spec.samples}"
        state = "done" if job.done(cell) else "to do"
        table.add_row(str(number), escape(cell.label()), texts if cell.steps else "–", many, state)
    console = Console()
    Console(width=None if console.is_terminal else WIDTH).print(table)


def _show(content: dict[str, Any], metric: str) -> None:
    console = Console()
    console = Console(width=None if console.is_terminal else WIDTH)
    for series in content["series"]:
        found, order = series["metrics"][metric], series["order"]
        columns = [*content["columns"], continual_file.MACRO]
        title = f"{metric.replace('_', ' ')} · change against the base [95%] · {series['variant']} · {' '.join(order)}"
        table = Table("after", *map(escape, columns), "not yet added", "risen since", title=escape(title))
        table.add_row(
            "base",
            *(continual_file.level(found["base"][column]).replace("[", r"\[") for column in columns),
            end_section=True,
        )
        for at, step in enumerate(order):
            forgotten = found["forgetting"][at]
            entries = [found["change"][at][column] for column in columns]
            entries += [found["transfer"][at], forgotten[continual_file.MACRO] if forgotten else None]
            texts = [continual_file.difference(entry).replace("[", r"\[") for entry in entries]
            own = columns.index(step) if step in columns else -1
            table.add_row(escape(f"+{step}"), *(f"[bold]{text}[/bold]" if place == own else text
                                                for place, text in enumerate(texts)))  # fmt: skip
        if "static" in found:
            changes = found["static"]["change"]
            table.add_section()
            table.add_row(
                "all at once", *(continual_file.difference(changes[column]).replace("[", r"\[") for column in columns)
            )
        if found["own_step"]:
            own_step = found["own_step"]
            table.add_row(
                "own step less the others",
                *(continual_file.difference(own_step.get(column)).replace("[", r"\[") for column in columns),
            )
        console.print(table)
