"""The sub-commands of ``detoxbench``, one file each, imported when it is called."""

from __future__ import annotations

import errno
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ...core.errors import DetoxbenchError, unknown

Command = Callable[..., Any] | typer.Typer


def agreement() -> Command:
    """How well scorers agree on one file."""
    from .agreement import agreement

    return agreement


def annotate() -> Command:
    """People's judgement: a sample to rate, and what the answers say of the runs."""
    from .annotate import annotate

    return annotate


def archive() -> Command:
    """The score archive: export, import, statistics, repair."""
    from .archive import app

    return app


def calibrate() -> Command:
    """Fit a map from one scorer to another's scale."""
    from .calibrate import app

    return app


def card() -> Command:
    """A run as a section of a model card, and in the Every Eval Ever schema."""
    from .card import card

    return card


def check() -> Command:
    """Regression gate: exit 1 if a candidate is significantly worse than its baseline."""
    from .check import check

    return check


def compare() -> Command:
    """Two runs, paired by prompt: differences with intervals, per language."""
    from .compare import compare

    return compare


def continual() -> Command:
    """One language or domain at a time: a study of continual mitigation."""
    from .continual import continual

    return continual


def explain() -> Command:
    """The next token under a method, and why: distributions, nearest contexts."""
    from .explain import explain

    return explain


def export() -> Command:
    """A method that is weights in the end, as a checkpoint for transformers and vLLM."""
    from .export import app

    return app


def fit() -> Command:
    """A method's artifacts from labelled text: datastores, experts, a value model."""
    from .fit import app

    return app


def groups() -> Command:
    """Results per value of a grouping: an axis, a harm category, your column."""
    from .groups import groups

    return groups


def import_() -> Command:
    """The published systems' own artifacts become ours."""
    from .import_ import app

    return app


def leaderboard() -> Command:
    """Results into a static site: RESULTS… --out site/; serve shows it."""
    from .leaderboard import app

    return app


def methods() -> Command:
    """The methods: a table, or one method's card with arguments, artifacts, citation."""
    from .methods import methods

    return methods


def prompts() -> Command:
    """The prompt sets: cards, sizes, licences, revisions; --verify loads one."""
    from .prompts import prompts

    return prompts


def report() -> Command:
    """One compact table of results: language × metric, with intervals."""
    from .report import report

    return report


def score() -> Command:
    """Score generation files with one or several scorers; metrics with intervals."""
    from .score import score

    return score


def scorers() -> Command:
    """The scorers and their presets: languages, licence, what they judge, validity."""
    from .scorers import scorers

    return scorers


def submit() -> Command:
    """Results as records of the leaderboard: checked, written, and what to do next."""
    from .submit import submit

    return submit


def sweep() -> Command:
    """Models x methods x tasks x seeds from one file: what is missing runs, anywhere."""
    from .sweep import sweep

    return sweep


def task_vector() -> Command:
    """Split-merge stage by stage: select, split, train, merge, negate."""
    from .task_vector import app

    return app


def translate() -> Command:
    """A corpus into another language, with BLEU and chrF++ on a reference."""
    from .translate import translate

    return translate


def validate() -> Command:
    """What scorers are worth against people's labels, in every language."""
    from .validate import validate

    return validate


GROUPS: dict[str, tuple[Callable[[], Command], ...]] = {
    "Measure": (score, report, groups, prompts, explain),
    "Methods": (methods, fit, import_, export, task_vector),
    "Scorers": (scorers, validate, agreement, calibrate, archive, annotate),
    "Compare": (compare, check),
    "Publish": (leaderboard, submit, card),
    "Studies": (sweep, continual, translate),
}
"""Heading of ``--help`` -> its sub-commands."""
COMMANDS = tuple(command for members in GROUPS.values() for command in members)
"""Each loads a sub-command of its name, a function or a group; what ``--help`` shows is its docstring."""


class Lazy(TyperGroup):
    """The sub-commands, each imported when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [_name(command) for command in COMMANDS]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0].replace("_", "-") if args else ""
        if args and name in self.list_commands(ctx):
            args = [name, *args[1:]]  # underscores are as good
        elif args and not args[0].startswith("-"):
            raise unknown("command", args[0], self.list_commands(ctx))
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        load = next((command for command in COMMANDS if _name(command) == cmd_name), None)
        if load is None:
            return None
        found = load()
        if isinstance(found, typer.Typer):
            found.info.name, found.info.help = cmd_name, load.__doc__
            made = typer.main.get_group(found)
        else:
            one = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
            one.command(cmd_name, help=load.__doc__)(found)
            made = typer.main.get_command(one)
        made.rich_help_panel = next(heading for heading, members in GROUPS.items() if load in members)
        return made


def _name(command: Callable[[], Command]) -> str:
    return command.__name__.rstrip("_").replace("_", "-")


app = typer.Typer(
    name="detoxbench",
    help="How toxic language models are, in many languages, under any detoxification method.",
    cls=Lazy,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    # Of options and commands; underscores are as good, and what names a method or a metric is no option.
    context_settings={"token_normalize_func": lambda name: name.replace("_", "-")},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"detoxbench {version('detoxbench')}")
        raise typer.Exit


@app.callback()
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Keeps the sub-commands' names even where there is only one."""


OF_THE_DISK = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR}
)
"""Errors that are no fault of the program, wherever a library meets them: a full or read-only disk, permissions."""


def main() -> None:
    """Entry point of the console script: runs the command asked for; exit status 2 for bad input, or a disk that takes
    nothing."""
    try:
        app()
    except DetoxbenchError as error:
        sys.stderr.write(f"detoxbench: {error}\n")
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:
        if error.errno not in OF_THE_DISK:
            raise
        where = f" '{error.filename}'" if error.filename else f" (temporary files are in '{tempfile.gettempdir()}')"
        sys.stderr.write(f"detoxbench: {error.strerror}{where}\n")
        sys.exit(2)
