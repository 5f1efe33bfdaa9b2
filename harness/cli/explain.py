"""``detoxbench explain``: what a method does to the next token, and why."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...core.constants import MINI
from ...core.errors import DetoxbenchError
from ...core.mini import model_folder

_COMMAS = re.compile(r",(?=\w+=)")


def explain(
    prompt: Annotated[str, typer.Option(help="the text whose next token is explained")],
    method: Annotated[str, typer.Option(help="a registered method")] = "none",
    pretrained: Annotated[str, typer.Option(help="base model: folder, hub name or mini")] = MINI,
    model_args: Annotated[
        str, typer.Option(help="as lm_eval's: method=…,toxic_datastore=…; the method's arguments")
    ] = "",
    top: Annotated[int, typer.Option(help="tokens of each distribution")] = 10,
    neighbours: Annotated[int, typer.Option(help="stored contexts of each datastore")] = 5,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, …; default: a GPU if there is one")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """The next token's distributions under a base model and a method, and the nearest stored contexts.

    A method that filters (filter_p) leaves tokens outside the base model's nucleus no probability.
    """
    given = _arguments(model_args)
    method, pretrained = given.pop("method", method), given.pop("pretrained", pretrained)
    from ...methods import apply
    from ...methods import explain as module
    from ...methods.training import work

    apply.check_method(method, **given)
    base, tokenizer = work.load_base(pretrained, device=device)
    found = module.explain(
        apply.load_detoxified(base, method, **given), tokenizer, prompt, method=method, original=base, top=top,
        neighbours=neighbours,
    )  # fmt: skip
    found = found.model_copy(update={"pretrained": MINI if found.pretrained == model_folder(MINI) else pretrained})
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
    else:
        _print(found)


def _arguments(text: str) -> dict[str, Any]:
    """``name=value,name=value``; a comma that no name follows belongs to the value."""
    found = {}
    for piece in _COMMAS.split(text) if text else []:
        name, equals, value = piece.partition("=")
        if not equals:
            raise DetoxbenchError(f"--model-args '{text}': '{piece}' is no name=value")
        if name.strip() in found:
            raise DetoxbenchError(f"--model-args '{text}': '{name.strip()}' is given twice")
        found[name.strip()] = value
    return found


def _print(found: Any) -> None:
    console = Console()
    # Not a terminal's 80 columns where nobody looks through one.
    console = console if console.is_terminal else Console(width=160)
    names = list(found.tokens[0].p)
    table = Table("next token", *names, title=Text(f"{found.pretrained}, {found.method}: {_shown(found.prompt)}"))
    for name in names:
        table.columns[1 + names.index(name)].justify = "right"
    for token in found.tokens:
        table.add_row(Text(_token(token.text)), *(_percent(token.p[name]) for name in names))
    console.print(table)
    for name, rows in found.neighbours.items():
        near = Table("distance", "weight", "context", "then", title=f"nearest of {name}")
        for one in rows:
            weight = f"{one.weight:.4f}"
            near.add_row(f"{one.distance:.2f}", weight, Text(_shown(one.context)), Text(_token(one.token)))
        console.print(near)


def _shown(text: str) -> str:
    """Text on one line, without what a terminal would act on."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _token(text: str) -> str:
    """A token with its spaces to be seen: ``␣cat`` is another one than ``cat``."""
    return _shown(text).replace(" ", "␣") or "(empty)"


def _percent(p: float) -> str:
    return f"{100 * p:.2f}%" if p >= 5e-5 else "0" if p == 0 else "<0.01%"
