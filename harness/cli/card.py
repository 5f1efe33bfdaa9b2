"""``detoxbench card``: a run described for readers, and for machines that collect results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...core import results
from ...core.files import safe_name, write_json, write_text
from ...core.validation import believed
from ..reporting import card as cards
from ..reporting import every_eval_ever


def card(
    paths: Annotated[list[Path], typer.Argument(help="folders or files that lm_eval --output_path wrote")],
    out: Annotated[Path | None, typer.Option(help="folder to write to; printed where left out")] = None,
    eee: Annotated[bool, typer.Option("--every-eval-ever", help="with --out: also NAME.json in that schema")] = False,
    validate: Annotated[
        bool, typer.Option("--validate", help="check that JSON by the package every-eval-ever (Python 3.12)")
    ] = False,
    organization: Annotated[str, typer.Option(help="who ran it, for --every-eval-ever")] = "unknown",
) -> None:
    """A section for the model's card, Markdown under the metadata that the Hugging Face hub reads (``model-index``)."""
    runs = [results.read(path) for folder in paths for path in results.find(folder)]
    for run in runs:
        believed(run)
        text = cards.card(run)
        if out is None:
            typer.echo(text)
        else:
            path = out / f"{safe_name(run.path.stem)}.md"
            write_text(path, text)
            typer.echo(str(path))
        if eee or validate:
            found = every_eval_ever.document(run, organization)
            if validate:
                every_eval_ever.validate(found)
            if out is not None:
                write_json(out / f"{safe_name(run.path.stem)}.json", found)
                typer.echo(str(out / f"{safe_name(run.path.stem)}.json"))
