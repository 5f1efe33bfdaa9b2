"""``detoxbench sweep``: models x methods x task groups x seeds from one file, on this machine or on a Ray cluster."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ...core.errors import DetoxbenchError, unknown
from ...core.parsing import ParseError, parse_yaml
from ..study_file import shipped_or_given
from ..sweep import spec

STUDIES = Path(spec.__file__).parent / "studies"
ENGINES = ("local", "ray", "inline")
WIDTH = 200
INTERRUPTED = 130


def sweep(
    file: Annotated[
        str, typer.Argument(help="YAML file, or the name of a shipped study (--list)", metavar="SWEEP")
    ] = "",
    out: Annotated[
        Path | None, typer.Option(help="folder of the sweep; default: its name; run again, it does what is missing")
    ] = None,
    given: Annotated[
        list[str] | None, typer.Option("--set", help="name=value of a variable of the file; repeatable", metavar="N=V")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print the cells, with time and memory; run nothing")
    ] = False,
    engine: Annotated[
        str, typer.Option(help="local (a process a cell), ray, or inline (all in this process)")
    ] = "local",
    jobs: Annotated[int, typer.Option(min=1, help="of the local engine: cells at once")] = 1,
    artifacts: Annotated[
        str | None, typer.Option(help="path or URL (file://, s3://, gs://) where artifacts are shared")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="of the Ray cluster; default: RAY_ADDRESS, else this machine alone")
    ] = None,
    shipped: Annotated[bool, typer.Option("--list", help="names of the shipped studies")] = False,
) -> None:
    """Every cell runs alone and is known by its content: what is there is not run again, what fails is reported with
    its log, and the rest goes on. OUT/runs is for detoxbench report, compare and leaderboard."""
    if shipped:
        for path in sorted(STUDIES.glob("*.yaml")):
            typer.echo(f"{path.stem:24}{spec.read(path).description}")
        return
    if engine not in ENGINES:
        raise unknown("--engine", engine, ENGINES)
    if address and engine != "ray":
        raise DetoxbenchError("--address is of --engine ray")
    path = shipped_or_given(file, STUDIES, "sweep")
    from ..sweep import run as runner

    folder = runner.Folder(spec.read(path, _settings(given)), out or Path(path.stem), root=path.parent, store=artifacts)
    if dry_run:
        _plan(folder)
        return
    _run(folder, _engine(engine, folder, jobs, address))


def _settings(given: list[str] | None) -> dict[str, Any]:
    found = {}
    for entry in given or []:
        name, sign, value = entry.partition("=")
        if not sign:
            raise DetoxbenchError(f"--set {entry}: write name=value")
        if name in found:
            raise DetoxbenchError(f"--set {entry}: '{name}' is given twice")
        try:
            found[name] = parse_yaml(value)
        except ParseError as error:
            raise DetoxbenchError(f"--set {entry}, as YAML: {error}") from None
    return found


def _engine(name: str, folder: Any, jobs: int, address: str | None) -> Any:
    if name == "ray":
        from ..sweep.on_ray import RayEngine

        return RayEngine(folder.place, address)
    from ..sweep import local

    return local.InlineEngine(folder.place) if name == "inline" else local.LocalEngine(folder.place, jobs)


def _plan(folder: Any) -> None:
    from ..sweep import estimate

    states, jobs = folder.states(), list(folder.plan.jobs.values())
    found = estimate.estimates(jobs, folder.found().values())
    counts = Counter(states[job.digest] for job in jobs)
    title = f"{len(folder.plan.runs())} cells, {len(jobs) - len(found)} artifacts in {folder.out}: " + ", ".join(
        f"{count} {state}" for state, count in counts.items()
    )
    table = Table("", "cell", "prompts", "time", "memory", "state", title=escape(title), title_justify="left")
    left = 0.0
    for number, job in enumerate(jobs, start=1):
        one = found.get(job.digest)
        if one is None:
            table.add_row(str(number), escape(job.label), "–", "–", "–", states[job.digest])
            continue
        mark = "" if one.source == "measured" else "≈ "
        seconds = "?" if one.seconds is None else mark + duration(one.seconds)
        memory = "?" if one.memory is None else f"≈ {one.memory / 2**30:,.1f} GB"
        many = "?" if one.prompts is None else f"{one.prompts:,}"
        table.add_row(str(number), escape(job.label), many, seconds, memory, states[job.digest])
        left += one.seconds or 0.0 if states[job.digest] != "done" else 0.0
    console = Console()
    Console(width=None if console.is_terminal else WIDTH).print(table)
    unknown = any(one.seconds is None for one in found.values())
    more = "; cells with ? are not in it" if unknown else ""
    typer.echo(f"left to do: about {duration(left)} of one worker, fits aside{more}")


def duration(seconds: float) -> str:
    """``3 min``."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.0f} s"


def _run(folder: Any, engine: Any) -> None:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    missing = folder.missing()
    total = len(folder.plan.runs())
    there = total - sum(job.kind == "run" for job in missing)
    # SIGTERM, which schedulers send, ends a sweep as Ctrl-C does.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TextColumn("{task.fields[inside]}"))  # fmt: skip
    try:
        with Progress(*columns, console=console, transient=True) as progress:
            cells = progress.add_task("cells", total=there + len(missing), completed=there, inside="")
            tasks: dict[str, Any] = {}

            def tell(event: Any) -> None:
                job = event.job
                if event.state == "started":
                    tasks[job.digest] = progress.add_task(escape(job.label), total=None, inside=escape(event.text))
                    if not console.is_terminal:
                        console.print(f"started  {job.label}", markup=False)
                elif event.state == "progress":
                    if job.digest in tasks:
                        progress.update(tasks[job.digest], inside=escape(event.text[-100:]))
                else:
                    if job.digest in tasks:
                        progress.remove_task(tasks.pop(job.digest))
                    progress.advance(cells)
                    mark = "done     " if event.state == "done" else "FAILED   "
                    console.print(f"{mark}{job.label}{': ' + event.text if event.text else ''}", markup=False)
                    if event.state == "failed" and folder.place.log(job).is_file():
                        console.print(f"         log: {folder.place.log(job)}", markup=False)

            outcome = folder.run(engine, tell)
    except KeyboardInterrupt:
        here = len(folder.found())
        console.print(f"stopped: {here} of {total} cells are done; the same command goes on", markup=False)
        sys.exit(INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, previous)
    failed = sum(digest in folder.plan.cells for digest in outcome.failed)
    again = f", {len(outcome.before)} of them before" if outcome.before else ""
    there = len(outcome.before) + sum(digest in folder.plan.cells for digest in outcome.done)
    typer.echo(f"{there} of {total} cells done{again}{f', {failed} failed' if failed else ''}: "
               f"detoxbench report {folder.out / 'runs'}")  # fmt: skip
    if outcome.failed:
        sys.exit(1)
