"""``detoxbench import``: the published systems' own artifacts become ours."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="the published artifact's folder")]
Out = Annotated[Path, typer.Option(help="folder for ours; must not exist, or be empty")]


def _methods(name: str) -> Any:
    """A module of the methods folder, by name: harness imports no other folder."""
    return importlib.import_module(f"detoxbench.methods.{name}")


@app.command()
def goodtriever(
    folder: Folder,
    out: Out,
    store: Annotated[str | None, typer.Option(help="dstore_MODEL_COUNT_DIM, where the folder holds several")] = None,
    pretrained: Annotated[
        str | None, typer.Option(help="the base model, to record its weights; default: its name")
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="never build an approximate index")] = False,
) -> None:
    """A datastore from Goodtriever's raw memory maps, dstore_MODEL_COUNT_DIM_keys.npy and …_vals.npy."""
    model = _methods("loading").load_model(pretrained, "base model", dtype="auto") if pretrained else None
    made = _methods("imports").import_goodtriever(folder, out, store=store, model=model, exact=exact)
    typer.echo(f"{out}: {made.count:,} keys of dimension {made.dim}, made with '{made.manifest['model']['name']}'")


@app.command()
def rectification(
    folder: Folder,
    out: Out,
    heads: Annotated[int | None, typer.Option(help="attention heads, where there is no config.json")] = None,
) -> None:
    """A value model from rectification's checkpoint: a GPT-2 body and ilql_heads."""
    made = _methods("imports").import_rectification(folder, out, heads=heads)
    typer.echo(f"{out}: a value model of {made.head[2].out_features:,} tokens and dimension {made.head[0].in_features}")


@app.command()
def dexperts(folder: Folder, out: Out) -> None:
    """An expert or anti-expert from a model folder: checked, and saved as safetensors with a manifest."""
    made = _methods("dexperts.fit").import_expert(folder, out)
    typer.echo(f"{out}: a {made.config.model_type} model; use it as expert={out} or antiexpert={out}")
