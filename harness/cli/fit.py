"""``detoxbench fit``: a method's artifacts from labelled text; run again after a kill, it goes on.

Every command is made from its method's declaration: which sides of the texts it takes, its settings, what it makes.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ...core.errors import DetoxbenchError, unknown
from ...core.registry import METHODS, PLUS
from ...methods import first_use
from ...methods.artifact_arguments import as_fitted, declared, fit_of, fit_settings
from ...methods.declaration import SIDES, Made
from ...methods.training.pairs import PAIRS, PairColumns
from ...methods.training.texts import Columns
from . import fit_scorer, options
from .by_method import ByMethod
from .options import parameter

Append = Annotated[bool, typer.Option("--append", help="grow artifacts that are there")]
WIDTH = 220


SCORER = "scorer"
"""What ``fit`` makes beside the methods' artifacts."""


class Fits(ByMethod):
    """A command for each method whose artifacts are fitted, and one for scorers."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), SCORER]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return fit_scorer.command() if cmd_name == SCORER else super().get_command(ctx, cmd_name)

    @staticmethod
    def has(name: str) -> bool:
        return declared(name).fit is not None

    @staticmethod
    def make(name: str) -> Any:
        fit = fit_of(name)
        return options.command(name, lambda **given: _fit(name, given), _parameters(name), fit.summary)


app = typer.Typer(cls=Fits, no_args_is_help=True)
ALL = "all"


@app.callback(invoke_without_command=True)
def _group(
    context: typer.Context,
    mini: Annotated[
        str,
        typer.Option(help="make now what first use of a method on mini would make: its name, A+B for two, or all"),
    ] = "",
) -> None:
    """A method's artifacts from labelled text."""
    if not mini:
        return
    if context.invoked_subcommand is not None:
        raise DetoxbenchError(f"fit --mini {mini}: give it alone, or 'detoxbench fit {context.invoked_subcommand} …'")
    for name in _on_mini(mini.replace("-", "_")):
        there = first_use.is_there(name)
        typer.echo(f"{name}: {first_use.artifacts(name)}{' (was there)' if there else ''}")


def _on_mini(given: str) -> list[str]:
    """The methods to be fitted: of a combination each that has a fit, as first use makes it.

    Raises:
        DetoxbenchError: for an unknown name, one without a fit, or a combination that makes no sense.
    """
    fitted = [name for name in METHODS if Fits.has(name)]
    if given == ALL:
        return fitted
    parts = METHODS.check(given).split(PLUS) if PLUS in given else [given]
    if found := [name for name in parts if name in fitted]:
        return found
    raise unknown("method of 'detoxbench fit --mini'", given, [*fitted, ALL])


def _parameters(name: str) -> list[inspect.Parameter]:
    fit = fit_of(name)
    kinds: dict[str, Any] = {"toxic": options.Toxic, "nontoxic": options.Nontoxic}
    bounds: dict[str, Any] = {"toxic": ("above", options.Above), "nontoxic": ("below", options.Below)}
    sides = [side for side in SIDES if side in (*fit.takes, *fit.held_out)]
    given = [parameter("pretrained", options.Pretrained), parameter("out", options.Out)]
    needed = () if fit.pairs else fit.needs
    given += [parameter(side, kinds[side], *(() if side in needed else (None,))) for side in sides]
    if fit.pairs:
        given += options.pair_columns()
    if _appends(name):
        given.append(parameter("append", Append, False))
    given += options.parameters(fit.settings, fit.defaults, fixed=tuple(declared(name).fit_settings))
    given.append(parameter("score_column", options.ScoreColumn, None))
    given += [parameter(*bounds[side], None) for side in sides]
    return [*given, *options.columns()]


def _appends(name: str) -> bool:
    grows = fit_of(name).grows
    return grows is not None and grows.kind == "append"


def _fit(name: str, given: dict[str, Any]) -> None:
    fit = fit_of(name)
    settings = fit_settings(name, options.chosen(fit.settings, given))
    sides = {side: given[side] for side in SIDES if given.get(side)}
    pairs = {PAIRS: given[PAIRS]} if given.get(PAIRS) else {}
    fit.of_its_sides({**sides, **pairs}, held_out=True)
    columns = Columns(given["text_column"], given["label_column"], given["lang_column"])
    texts = options.corpora(
        sides, columns, given["split"], given["lang"], given["score_column"], given.get("above"), given.get("below")
    )
    if pairs:
        names = PairColumns(
            given["toxic_column"], given["neutral_column"], given["prompt_column"], given["lang_column"]
        )
        texts[PAIRS] = options.paired(given[PAIRS], names, given["lang"])
    more = {"append": given["append"]} if _appends(name) else {}
    made = fit.make(
        given["pretrained"], given["out"], texts=texts, settings=settings, revision=given["revision"],
        device=given["device"], **more,
    )  # fmt: skip
    if options.first():
        _show(name, made, given["pretrained"], given["out"])


def _show(name: str, made: Made, pretrained: str, out: Path) -> None:
    """The summary, and the line that uses what was made."""
    if made.rows:
        table = Table(*made.rows[0])
        for row in made.rows:
            table.add_row(*row.values())
        console = Console()
        Console(width=None if console.is_terminal else WIDTH).print(table)
    named = {**as_fitted(name, out), **made.arguments}
    arguments = ",".join(f"{argument}={value}" for argument, value in named.items())
    if not made.notes or made.arguments:
        typer.echo(
            f"use it: lm_eval --model detox --model_args pretrained={pretrained},method={name},{arguments} --tasks …"
        )
    for note in made.notes:
        typer.echo(note)
