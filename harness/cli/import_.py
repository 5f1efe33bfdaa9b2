"""``detoxbench import``: the published systems' own artifacts become ours, as each method's importer declares."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ...core.errors import DetoxbenchError
from ...methods.artifact_arguments import declared
from ...methods.declaration import Importer
from . import options
from .by_method import ByMethod

Folder = Annotated[Path, typer.Argument(help="the published artifact's folder")]
Out = Annotated[Path, typer.Option(help="folder for ours; must not exist, or be empty")]


class Imports(ByMethod):
    """A command for each method with an importer."""

    @staticmethod
    def has(name: str) -> bool:
        return declared(name).imports is not None

    @staticmethod
    def make(name: str) -> Any:
        importer = _importer(name)
        given = [options.parameter("folder", Folder), options.parameter("out", Out)]
        given += options.parameters(importer.settings, {})
        return options.command(name, lambda **values: _import(importer, values), given, importer.summary)


app = typer.Typer(cls=Imports, no_args_is_help=True)


@app.callback()
def _group() -> None:
    """The published systems' own artifacts become ours."""


def _importer(name: str) -> Importer:
    found = declared(name).imports
    if found is None:
        raise DetoxbenchError(f"method {name} imports nothing")
    return found


def _import(importer: Importer, given: dict[str, Any]) -> None:
    settings = importer.settings(**importer.settings.nested(options.chosen(importer.settings, given)))
    typer.echo(importer.run(given["folder"], given["out"], settings))
