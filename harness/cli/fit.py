"""``detoxbench fit``: a method's artifacts from labelled text; run again after a kill, it goes on."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ...core.errors import DetoxbenchError
from . import fit_scorer

app = typer.Typer(no_args_is_help=True)
app.command("scorer")(fit_scorer.scorer)

Pretrained = Annotated[str, typer.Option(help="base model: folder, hub name or mini")]
Out = Annotated[Path, typer.Option(help="folder for the artifacts")]
Sources = list[str] | None
Toxic = Annotated[
    Sources, typer.Option(help="toxic texts: JSONL file, or Hugging Face data set NAME or NAME:SUBSET; repeatable")
]
Nontoxic = Annotated[Sources, typer.Option(help="non-toxic texts, likewise")]
TextColumn = Annotated[str, typer.Option(help="field with the text")]
LabelColumn = Annotated[
    str, typer.Option(help="field with a label or score, if any: texts of the other side are left out")
]
LangColumn = Annotated[str, typer.Option(help="field with the language, if any")]
Split = Annotated[str, typer.Option(help="split of Hugging Face data sets")]
Lang = Annotated[list[str] | None, typer.Option(help="only texts in these languages; repeatable")]
Revision = Annotated[str | None, typer.Option(help="commit or tag of the base model on the hub")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, …; default: a GPU if there is one")]


def _methods(name: str) -> Any:
    """A module of the methods folder, by name: harness imports no other folder."""
    return importlib.import_module(f"detoxbench.methods.training.{name}")


def _texts(
    toxic: Sources, nontoxic: Sources, text: str, label: str, lang_column: str, split: str, lang: list[str] | None
) -> dict[str, Any]:
    """The keyword arguments ``toxic`` and ``nontoxic`` of a fit."""
    texts = _methods("training.texts")
    columns = texts.Columns(text=text, label=label, lang=lang_column)
    if not toxic and not nontoxic:
        raise DetoxbenchError("nothing to fit on: give --toxic or --nontoxic texts, or both")
    found = {}
    for side, sources in (("toxic", toxic), ("nontoxic", nontoxic)):
        if sources:
            found[side] = one = texts.Texts(sources, side, columns, split, tuple(lang or ()))
            left = "".join(f", {count:,} left out: {reason}" for reason, count in one.skipped.items())
            typer.echo(f"{side}: {one.count:,} texts{left}", err=True)
    return found


@app.command()
def goodtriever(
    pretrained: Pretrained,
    out: Out,
    toxic: Toxic = None,
    nontoxic: Nontoxic = None,
    append: Annotated[bool, typer.Option("--append", help="grow datastores that are there")] = False,
    exact: Annotated[bool, typer.Option("--exact", help="never build an approximate index")] = False,
    retrain: Annotated[bool, typer.Option("--retrain", help="with --append: train the index anew")] = False,
    key_layer: Annotated[str | None, typer.Option(help="module whose input is the key")] = None,
    max_length: Annotated[int | None, typer.Option(help="tokens of a row; default: the model's positions")] = None,
    batch_tokens: Annotated[int | None, typer.Option(help="of a forward pass; bounds the memory")] = None,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    lang_column: LangColumn = "lang",
    split: Split = "train",
    lang: Lang = None,
    revision: Revision = None,
    device: Device = None,
) -> None:
    """Datastores OUT/toxic and OUT/nontoxic, for Goodtriever and kNN-LM."""
    made = _methods("retrieval.fit").fit(
        pretrained, out, append=append, exact=exact, retrain=retrain, layer=key_layer, max_length=max_length,
        batch_tokens=batch_tokens, revision=revision, device=device,
        **_texts(toxic, nontoxic, text_column, label_column, lang_column, split, lang),
    )  # fmt: skip
    table = Table("datastore", "keys", "dim", "index", "recall", "MiB")
    for side, store in made.items():
        index, recall = store.manifest["index"], store.manifest["recall"]
        size = sum(path.stat().st_size for path in store.path.iterdir()) / 2**20
        table.add_row(
            str(out / side), f"{store.count:,}", str(store.dim), index["kind"] if index else "exact",
            f"{recall['value']:.3f} at {recall['k']}" if recall else "1", f"{size:,.1f}",
        )  # fmt: skip
    _finish(table, pretrained, "goodtriever", {f"{side}_datastore": out / side for side in made})


@app.command()
def dexperts(
    pretrained: Pretrained,
    out: Out,
    toxic: Toxic = None,
    nontoxic: Nontoxic = None,
    epochs: Annotated[float, typer.Option(help="passes over the texts")] = 3.0,
    learning_rate: Annotated[float, typer.Option(help="at the start")] = 5e-5,
    batch_size: Annotated[int, typer.Option(help="rows a step")] = 512,
    device_batch_size: Annotated[int, typer.Option(help="rows a forward pass")] = 8,
    block_size: Annotated[int, typer.Option(help="tokens a row")] = 128,
    max_steps: Annotated[int, typer.Option(help="stop there; -1: after the epochs")] = -1,
    lora: Annotated[bool, typer.Option("--lora", help="train adapters only, merged at the end (needs peft)")] = False,
    lora_rank: Annotated[int, typer.Option(help="with --lora")] = 16,
    seed: Annotated[int, typer.Option(help="of order and dropout")] = 0,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    lang_column: LangColumn = "lang",
    split: Split = "train",
    lang: Lang = None,
    revision: Revision = None,
    device: Device = None,
) -> None:
    """Fine-tuned models OUT/expert (non-toxic texts) and OUT/antiexpert (toxic texts), for DExperts."""
    module = _methods("dexperts.fit")
    settings = module.Settings(
        epochs=epochs, learning_rate=learning_rate, batch_size=batch_size, device_batch_size=device_batch_size,
        block_size=block_size, max_steps=max_steps, lora_rank=lora_rank if lora else 0, seed=seed,
    )  # fmt: skip
    texts = _texts(toxic, nontoxic, text_column, label_column, lang_column, split, lang)
    made = module.fit(pretrained, out, settings=settings, revision=revision, device=device, **texts)
    table = Table("model", "rows")
    for path in made.values():
        table.add_row(str(path), f"{_trained(path)['rows']:,}")
    _finish(table, pretrained, "dexperts", made)


@app.command()
def rectification(
    pretrained: Pretrained,
    out: Out,
    scorer: Annotated[str, typer.Option(help="whose scores are the reward; not the one that will judge")],
    toxic: Toxic = None,
    nontoxic: Nontoxic = None,
    prompt_tokens: Annotated[int, typer.Option(help="the first tokens of a text are a prompt")] = 20,
    prompt_share: Annotated[float, typer.Option(help="at most this share of a text's tokens")] = 1.0,
    prompts: Annotated[int, typer.Option(help="at most so many; 0: all")] = 0,
    samples: Annotated[int, typer.Option(help="continuations of a prompt")] = 25,
    max_new_tokens: Annotated[int, typer.Option(help="of a continuation")] = 20,
    epochs: Annotated[int, typer.Option(help="passes over the chosen continuations")] = 3,
    learning_rate: Annotated[float, typer.Option(help="of body and head")] = 3e-4,
    lr_scheduler_type: Annotated[str, typer.Option(help="constant, or linear: down to 0 at the end")] = "constant",
    batch_size: Annotated[int, typer.Option(help="continuations a step")] = 32,
    gamma: Annotated[float, typer.Option(help="discount")] = 1.0,
    polyak: Annotated[float, typer.Option(help="how fast the target head follows")] = 0.1,
    keep: Annotated[int, typer.Option(help="so many most and least toxic continuations are learned from")] = 1,
    own_continuations: Annotated[int, typer.Option(help="so many texts are learned from as they stand, too")] = 0,
    trace: Annotated[float, typer.Option(help="lambda of SARSA(lambda); 0: one step; 1: the text's reward")] = 0.0,
    head_only: Annotated[bool, typer.Option("--head-only", help="leave the body as it is")] = False,
    default_lang: Annotated[str, typer.Option(help="of texts that do not say theirs")] = "en",
    seed: Annotated[int, typer.Option(help="of prompts, continuations and training")] = 0,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    lang_column: LangColumn = "lang",
    split: Split = "train",
    lang: Lang = None,
    revision: Revision = None,
    device: Device = None,
) -> None:
    """A value model OUT/value_model: prompts from the texts, their continuations, a scorer's rewards, SARSA."""
    module, sarsa = _methods("rectification.fit"), _methods("rectification.sarsa")
    training = sarsa.Settings(
        epochs=epochs, learning_rate=learning_rate, batch_size=batch_size, gamma=gamma, polyak=polyak, trace=trace,
        lr_scheduler_type=lr_scheduler_type, head_only=head_only, seed=seed,
    )  # fmt: skip
    settings = module.Settings(
        prompt_tokens=prompt_tokens, prompt_share=prompt_share, prompts=prompts, samples=samples, keep=keep,
        own_continuations=own_continuations, max_new_tokens=max_new_tokens, lang=default_lang, seed=seed,
        training=training,
    )  # fmt: skip
    texts = _texts(toxic, nontoxic, text_column, label_column, lang_column, split, lang)
    path = module.fit(pretrained, out, scorer=scorer, settings=settings, revision=revision, device=device, **texts)
    trained = _trained(path)
    table = Table("", "count")
    for name in ("prompt_count", "continuation_count", "unscored", "toxic_continuations", "trajectories"):
        table.add_row(name.replace("_", " "), f"{trained[name]:,}")
    table.add_row("mean loss of the last epoch", f"{trained['loss']:.4f}")
    _finish(table, pretrained, "rectification", {"value_model": path})


def _trained(path: Path) -> dict[str, Any]:
    return importlib.import_module("detoxbench.methods.artifacts").read(path)["trained"]


def _finish(table: Table, pretrained: str, method: str, arguments: dict[str, Any]) -> None:
    """The summary, and the line that uses what was made."""
    console = Console()
    Console(width=None if console.is_terminal else 220).print(table)
    given = ",".join(f"{name}={value}" for name, value in arguments.items())
    typer.echo(f"use it: lm_eval --model detox --model_args pretrained={pretrained},method={method},{given} --tasks …")
