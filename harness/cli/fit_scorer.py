"""``detoxbench fit scorer``: a toxicity scorer from labelled text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...core.errors import DetoxbenchError, unknown
from ...core.validity.labelled import LabelledText
from ...tasks import labels
from ...tasks.labels.registry import parse
from ..scorer_training import ngram

KINDS = ("ngram", "classifier")


def scorer(
    label_sets: Annotated[
        list[str], typer.Option("--labels", help="NAME, NAME=PATH, or the path of a file; repeatable")
    ],
    out: Annotated[Path, typer.Option(help="folder for the scorer; must not be there yet")],
    check: Annotated[
        list[str] | None, typer.Option(help="label sets to measure it on and not to fit on, likewise; repeatable")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="ngram: hashed n-grams and logistic regression, no GPU; classifier: a fine-tuned --base. Default: "
            "classifier with a --base, else ngram"
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(help="classifier: encoder or causal LM to fine-tune; folder, name on the hub or mini"),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="classifier: commit or tag of --base on the hub")] = None,
    device: Annotated[str | None, typer.Option(help="classifier: torch's; default: a GPU where there is one")] = None,
    lang: Annotated[list[str] | None, typer.Option(help="only texts in these languages; repeatable")] = None,
    positive: Annotated[float, typer.Option(help="a mean rating of at least this is toxic")] = 3.0,
    share: Annotated[float, typer.Option(min=0, max=1, help="of a target that comes from translations")] = 0.5,
    identities: Annotated[
        float | None,
        typer.Option(
            min=0, help="weight of our neutral sentences with names of groups; 0: none (ngram: 0.15, classifier: 0.1)"
        ),
    ] = None,
    penalty: Annotated[
        list[float] | None, typer.Option(help="ngram: of the weights' squares; the best on dev is taken; repeatable")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="classifier: passes over the texts, at most (4)")] = None,
    patience: Annotated[
        int | None, typer.Option(min=0, help="classifier: epochs without a smaller loss on dev, then it stops (1)")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="classifier: at its highest (2e-5)")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="classifier: texts a step (32)")] = None,
    device_batch_size: Annotated[int | None, typer.Option(min=1, help="classifier: texts a forward pass (16)")] = None,
    block_size: Annotated[int | None, typer.Option(min=8, help="classifier: tokens of a text (256)")] = None,
    max_steps: Annotated[int | None, typer.Option(help="classifier: stop there, whatever the epochs")] = None,
    lora_rank: Annotated[
        int | None, typer.Option(min=0, help="classifier: of LoRA adapters, merged at the end; 0: all weights (0)")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="classifier: of head, order and dropout (0)")] = None,
    checkpoint_steps: Annotated[
        int | None, typer.Option(min=1, help="classifier: a killed fit repeats at most so many steps (200)")
    ] = None,
) -> None:
    """A folder for ``ngram:OUT`` or, with ``--base``, for ``hf:OUT``: weights, card.json and README.md. Texts are split
    by cluster into train, dev, calibration and test, so that translations stay together; the card has sources, licences
    and validity on test. Run again after a kill, a classifier's fit goes on."""
    kind = kind or ("classifier" if base else "ngram")
    if kind not in KINDS:
        raise unknown("kind of scorer", kind, KINDS)
    own = {
        "epochs": epochs, "patience": patience, "learning_rate": learning_rate, "batch_size": batch_size,
        "device_batch_size": device_batch_size, "block_size": block_size, "max_steps": max_steps,
        "lora_rank": lora_rank, "seed": seed, "checkpoint_steps": checkpoint_steps,
    }  # fmt: skip
    own = {name: value for name, value in own.items() if value is not None}
    _fitting(kind, {**own, "base": base, "revision": revision, "device": device}, penalty)

    def read(specs: list[str]) -> list[tuple[dict[str, Any], list[LabelledText]]]:
        found = []
        for spec in specs:
            name, path = parse(spec)
            one, texts, stored = labels.load(name, labels.Request(path, positive, langs=tuple(lang or ())))
            found.append(({**one.card(), "revision": stored}, texts))
        return found

    sets, checks = read(label_sets), read(check or [])
    common: dict[str, Any] = {"share": share} | ({} if identities is None else {"identities": identities})

    def say(line: str) -> None:
        typer.echo(line, err=True)

    if kind == "ngram":
        settings = ngram.Settings(penalties=tuple(penalty) if penalty else ngram.Settings.penalties, **common)
        made = ngram.fit(sets, out, settings, checks=checks, say=say)
        _show(made, out, f"ngram:{out}")
        return
    from ..scorer_training import classifier

    how = classifier.Settings(**own, **common)
    assert base is not None
    _show(
        classifier.fit(sets, out, base, how, revision=revision, device=device, checks=checks, say=say), out, f"hf:{out}"
    )


def _fitting(kind: str, classifiers: dict[str, Any], penalty: list[float] | None) -> None:
    """Refuse options of the other kind, which would do nothing.

    Raises:
        DetoxbenchError: naming the option; or where there is no base.
    """
    if kind == "classifier" and classifiers["base"] is None:
        raise DetoxbenchError("fit scorer --kind classifier fine-tunes a model: name it with --base MODEL")
    given = [name for name, value in classifiers.items() if value is not None]
    wrong = given if kind == "ngram" else (["penalty"] if penalty else [])
    if wrong:
        raise DetoxbenchError(
            f"fit scorer --kind {kind} takes no --{wrong[0].replace('_', '-')}: it is an option of the other kind"
        )


def _show(made: Any, out: Path, spec: str) -> None:
    table = Table("language", "labels", "texts", "AUC with 95% interval")
    for tag, by_set in made.validity.items():
        for name, one in by_set.items():
            auc = one["figures"].get("auc", {})
            shown = "–" if auc.get("low") is None else f"{auc['value']:.3f} [{auc['low']:.3f}, {auc['high']:.3f}]"
            table.add_row(tag, f"{name} ({one['part']})", f"{one['texts']:,}", escape(shown))
    Console().print(table)
    size = sum(path.stat().st_size for path in out.iterdir()) / 2**20
    typer.echo(f"{out}: {size:.1f} MiB, version {made.version}")
    typer.echo(f"use it: --scorer {spec}; measure it: detoxbench validate --scorer {spec} --labels … --part test")


def command() -> Any:
    """``scorer`` as a command of a group that makes its commands itself."""
    app = typer.Typer(add_completion=False)
    app.command("scorer")(scorer)
    return typer.main.get_command(app)
