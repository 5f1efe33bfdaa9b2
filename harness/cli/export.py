"""``detoxbench export``: a method that is weights in the end, as a checkpoint for transformers and vLLM."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ...core.errors import DetoxbenchError
from ...methods.artifact_arguments import declared
from ...methods.export import export, exportable
from ...methods.settings import bounds
from . import options
from .by_method import ByMethod
from .options import parameter

Out = Annotated[Path, typer.Option(help="a new folder for the model")]
Dtype = Annotated[str | None, typer.Option(help="of the weights; default: the base model's")]
Shard = Annotated[float, typer.Option(help="GB of a file; larger models are spread over several")]


class Exports(ByMethod):
    """A command for each method that is weights in the end."""

    @staticmethod
    def has(name: str) -> bool:
        return exportable(name)

    @staticmethod
    def make(name: str) -> Any:
        given = [
            parameter("pretrained", options.Pretrained), parameter("out", Out),
            *(_argument(one) for one in declared(name).Arguments.model_fields.items()),
            parameter("dtype", Dtype, None), parameter("max_shard_size", Shard, 5.0),
            parameter("revision", options.Revision, None),
        ]  # fmt: skip
        return options.command(name, lambda **given: _export(name, given), given, declared(name).about.summary)


app = typer.Typer(cls=Exports, no_args_is_help=True)


@app.callback()
def _group() -> None:
    """A method that is weights in the end, as a checkpoint."""


def _argument(named: tuple[str, Any]) -> Any:
    """An argument of the method as an option: a text, which the method's own model reads and checks."""
    name, field = named
    said = "; ".join(text for text in (field.description or "", bounds(field)) if text)
    shown = "" if field.is_required() or field.default is None else f" [default: {field.default}]"
    return parameter(_option(name), Annotated[str | None, typer.Option(help=said + shown)], None)


def _option(argument: str) -> str:
    """An argument as an option's name: ``profs.rank`` is ``--profs-rank``."""
    return argument.replace(".", "_")


def _export(name: str, given: dict[str, Any]) -> None:
    fields = declared(name).Arguments.model_fields
    arguments = {one: given[_option(one)] for one in fields if given[_option(one)] is not None}
    if not given["max_shard_size"] > 0:
        raise DetoxbenchError(f"--max-shard-size {given['max_shard_size']}: it must be above 0")
    path = export(
        given["pretrained"], name, given["out"], arguments, revision=given["revision"], dtype=given["dtype"],
        max_shard=int(given["max_shard_size"] * 1e9),
    )  # fmt: skip
    options.say(f"{path}: {given['pretrained']} under {name}")
    options.say(f"use it: lm_eval --model hf --model_args pretrained={path} --tasks …  (or --model vllm)")
