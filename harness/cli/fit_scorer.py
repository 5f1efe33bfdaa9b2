"""``detoxbench fit scorer``: a toxicity scorer from labelled text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...core.errors import unknown
from ...core.validity.labelled import LabelledText
from ...tasks import labels
from ...tasks.labels.registry import parse
from ..scorer_training import ngram

KINDS = ("ngram",)


def scorer(
    label_sets: Annotated[
        list[str], typer.Option("--labels", help="NAME, NAME=PATH, or the path of a file; repeatable")
    ],
    out: Annotated[Path, typer.Option(help="folder for the scorer; must not be there yet")],
    check: Annotated[
        list[str] | None, typer.Option(help="label sets to measure it on and not to fit on, likewise; repeatable")
    ] = None,
    kind: Annotated[str, typer.Option(help="ngram: hashed n-grams and logistic regression, no GPU")] = "ngram",
    lang: Annotated[list[str] | None, typer.Option(help="only texts in these languages; repeatable")] = None,
    positive: Annotated[float, typer.Option(help="a mean rating of at least this is toxic")] = 3.0,
    penalty: Annotated[
        list[float] | None, typer.Option(help="of the weights' squares; the best on dev is taken; repeatable")
    ] = None,
    share: Annotated[float, typer.Option(min=0, max=1, help="of a target that comes from translations")] = 0.5,
    identities: Annotated[
        float, typer.Option(min=0, help="weight of our neutral sentences with names of groups; 0: none")
    ] = ngram.Settings.identities,
) -> None:
    """OUT/weights.safetensors, OUT/card.json and OUT/README.md, used as ``ngram:OUT``. Texts are split by cluster into
    train, dev, calibration and test, so that translations stay together; the card has sources, licences and validity
    on test."""
    if kind not in KINDS:
        raise unknown("kind of scorer", kind, KINDS)

    def read(specs: list[str]) -> list[tuple[dict[str, Any], list[LabelledText]]]:
        found = []
        for spec in specs:
            name, path = parse(spec)
            one, texts, revision = labels.load(name, labels.Request(path, positive, langs=tuple(lang or ())))
            found.append(({**one.card(), "revision": revision}, texts))
        return found

    sets, checks = read(label_sets), read(check or [])
    settings = ngram.Settings(
        penalties=tuple(penalty) if penalty else ngram.Settings.penalties, share=share, identities=identities
    )
    made = ngram.fit(sets, out, settings, checks=checks, say=lambda line: typer.echo(line, err=True))
    table = Table("language", "labels", "texts", "AUC with 95% interval")
    for tag, by_set in made.validity.items():
        for name, one in by_set.items():
            auc = one["figures"].get("auc", {})
            shown = "–" if auc.get("low") is None else f"{auc['value']:.3f} [{auc['low']:.3f}, {auc['high']:.3f}]"
            table.add_row(tag, f"{name} ({one['part']})", f"{one['texts']:,}", escape(shown))
    Console().print(table)
    size = sum(path.stat().st_size for path in out.iterdir()) / 2**20
    typer.echo(f"{out}: {size:.1f} MiB, version {made.version}")
    typer.echo(
        f"use it: --scorer ngram:{out}; measure it: detoxbench validate --scorer ngram:{out} --labels … --part test"
    )


def command() -> Any:
    """``scorer`` as a command of a group that makes its commands itself."""
    app = typer.Typer(add_completion=False)
    app.command("scorer")(scorer)
    return typer.main.get_command(app)
