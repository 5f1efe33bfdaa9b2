"""``detoxbench fit task_vector``, ``dapt`` and ``gradient_ascent``: changed weights from labelled text."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ...core.errors import DetoxbenchError
from .fit import (
    Device,
    LabelColumn,
    Lang,
    LangColumn,
    Nontoxic,
    Out,
    Pretrained,
    Revision,
    Split,
    TextColumn,
    Toxic,
    app,
)

ScoreColumn = Annotated[
    str | None, typer.Option(help="choose texts by this column's number, with --above or --below, instead of a label")
]
Above = Annotated[float | None, typer.Option(help="with --score-column: toxic texts score more than this")]
Below = Annotated[float | None, typer.Option(help="with --score-column: non-toxic texts score less than this")]
Epochs = Annotated[float | None, typer.Option(help="passes over the texts")]
LearningRate = Annotated[float | None, typer.Option(help="at its highest")]
Warmup = Annotated[int | None, typer.Option(help="steps until it is reached")]
BatchSize = Annotated[int, typer.Option(help="rows a step, over all devices")]
DeviceBatch = Annotated[int, typer.Option(help="rows a forward pass; the rest is accumulated")]
BlockSize = Annotated[int, typer.Option(help="tokens a row")]
MaxSteps = Annotated[int | None, typer.Option(help="stop there; -1: after the epochs")]
Lora = Annotated[bool, typer.Option("--lora", help="train adapters only, merged at the end (needs peft)")]
LoraRank = Annotated[int, typer.Option(help="with --lora")]
Bf16 = Annotated[bool | None, typer.Option(help="mixed precision; default: where a GPU has it")]
Seed = Annotated[int, typer.Option(help="of splitting, order and dropout")]
CheckpointSteps = Annotated[int, typer.Option(help="a killed fit repeats at most so many steps")]
Coefficient = Annotated[
    str, typer.Option(help="how much is taken away: a number, or auto (needs --nontoxic, held out)")
]
MaxRatio = Annotated[float, typer.Option(help="with auto: bound on perplexity over the base model's")]
Dtype = Annotated[str | None, typer.Option(help="of the merged weights; default: the base model's")]


def methods(name: str) -> Any:
    """A module of the methods folder, by name: harness imports no other folder."""
    return importlib.import_module(f"detoxbench.methods.{name}")


def say(line: str) -> None:
    """A line of the summary, from the first of several processes only."""
    if os.environ.get("RANK", "0") == "0":
        typer.echo(line)


def corpora(
    sides: Mapping[str, list[str] | None],
    columns: tuple[str, str, str],
    split: str,
    lang: Sequence[str] | None,
    score: str | None,
    above: float | None,
    below: float | None,
) -> dict[str, Any]:
    """The texts of each side that is given: by label, or by score.

    Args:
        columns: of text, label and language.
    """
    text, label, lang_column = columns
    bounds = {"toxic": {"above": above}, "nontoxic": {"below": below}}
    if score is None and (above is not None or below is not None):
        raise DetoxbenchError("--above and --below are about a column: name it with --score-column")
    found = {}
    for side, sources in sides.items():
        if not sources:
            continue
        if score is not None and next(iter(bounds[side].values())) is not None:
            one = methods("training.select").Selected(
                sources, side, score, **bounds[side], text=text, lang=lang_column, split=split, langs=tuple(lang or ())
            )
        else:
            texts = methods("training.texts")
            one = texts.Texts(
                sources, side, texts.Columns(text=text, label=label, lang=lang_column), split, tuple(lang or ())
            )
        found[side] = one
        left = "".join(f", {count:,} left out: {reason}" for reason, count in one.skipped.items())
        typer.echo(f"{side}: {one.count:,} texts{left}", err=True)
    return found


def settings(defaults: Any, lora: bool, lora_rank: int, **given: Any) -> Any:
    """The training's settings: what is given, else the method's defaults."""
    import dataclasses

    chosen = {name: value for name, value in given.items() if value is not None}
    return dataclasses.replace(defaults, lora_rank=lora_rank if lora else 0, **chosen)


def number(coefficient: str) -> float | None:
    """A coefficient; None for ``auto``."""
    if coefficient == "auto":
        return None
    try:
        return float(coefficient)
    except ValueError:
        raise DetoxbenchError(f"--coefficient {coefficient}: give a number, or auto") from None


def how_to_use(pretrained: str, method: str, finetuned: Path, more: str = "") -> None:
    """The lines that use what was made."""
    given = f"pretrained={pretrained},method={method},finetuned={finetuned}{more}"
    say(f"use it: lm_eval --model detox --model_args {given} --tasks …")


@app.command("task_vector")
def task_vector(
    pretrained: Pretrained,
    out: Out,
    toxic: Toxic,
    nontoxic: Nontoxic = None,
    splits: Annotated[int, typer.Option(help="parts of the toxic texts; 1: plain negation")] = 5,
    coefficient: Coefficient = "1.0",
    max_perplexity_ratio: MaxRatio = 1.5,
    part: Annotated[list[int] | None, typer.Option(help="train this part only, from 0 on; repeatable")] = None,
    score_column: ScoreColumn = None,
    above: Above = None,
    below: Below = None,
    epochs: Epochs = None,
    learning_rate: LearningRate = None,
    warmup_steps: Warmup = None,
    batch_size: BatchSize = 32,
    device_batch_size: DeviceBatch = 8,
    block_size: BlockSize = 128,
    max_steps: MaxSteps = None,
    lora: Lora = False,
    lora_rank: LoraRank = 16,
    bf16: Bf16 = None,
    seed: Seed = 0,
    checkpoint_steps: CheckpointSteps = 500,
    dtype: Dtype = None,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    lang_column: LangColumn = "lang",
    split: Split = "train",
    lang: Lang = None,
    revision: Revision = None,
    device: Device = None,
) -> None:
    """Split-merge: models OUT/part_0, … fine-tuned on parts of the toxic texts, and OUT/model, their negation."""
    module = methods("task_vector.fit")
    chosen = settings(
        module.DEFAULTS, lora, lora_rank, epochs=epochs, learning_rate=learning_rate, warmup_steps=warmup_steps,
        batch_size=batch_size, device_batch_size=device_batch_size, block_size=block_size, max_steps=max_steps,
        bf16=bf16, seed=seed,
    )  # fmt: skip
    amount = number(coefficient)
    if amount is None and not nontoxic and not part:
        raise DetoxbenchError("--coefficient auto measures perplexity on held-out non-toxic texts: give --nontoxic")
    columns = (text_column, label_column, lang_column)
    sides = {"toxic": toxic, "nontoxic": nontoxic if amount is None else None}
    made = module.fit(
        pretrained, out, **corpora(sides, columns, split, lang, score_column, above, below), splits=splits,
        coefficient=amount, max_ratio=max_perplexity_ratio, settings=chosen, only=part, revision=revision,
        device=device, checkpoint_steps=checkpoint_steps, dtype=dtype,
    )  # fmt: skip
    for path in made.values():
        say(str(path))
    if part:
        say(f"then: detoxbench task_vector negate --pretrained {pretrained} --finetuned {out} --out {out / 'model'}")
    elif "model" in made:
        merged = methods("artifacts").read(made["model"])["coefficient"]
        how_to_use(pretrained, "task_vector", out, f",coefficient={merged:.6g}")
        say(f"or as a model: lm_eval --model hf --model_args pretrained={made['model']} --tasks …")


@app.command("dapt")
def dapt(
    pretrained: Pretrained,
    out: Out,
    nontoxic: Nontoxic,
    score_column: ScoreColumn = None,
    below: Below = None,
    epochs: Epochs = None,
    learning_rate: LearningRate = None,
    warmup_steps: Warmup = None,
    batch_size: BatchSize = 32,
    device_batch_size: DeviceBatch = 8,
    block_size: BlockSize = 128,
    max_steps: MaxSteps = None,
    lora: Lora = False,
    lora_rank: LoraRank = 16,
    bf16: Bf16 = None,
    seed: Seed = 0,
    checkpoint_steps: CheckpointSteps = 500,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    lang_column: LangColumn = "lang",
    split: Split = "train",
    lang: Lang = None,
    revision: Revision = None,
    device: Device = None,
) -> None:
    """Domain-adaptive training: OUT/dapt, the base model fine-tuned on non-toxic texts."""
    module = methods("dapt.fit")
    chosen = settings(
        module.DEFAULTS, lora, lora_rank, epochs=epochs, learning_rate=learning_rate, warmup_steps=warmup_steps,
        batch_size=batch_size, device_batch_size=device_batch_size, block_size=block_size, max_steps=max_steps,
        bf16=bf16, seed=seed,
    )  # fmt: skip
    columns = (text_column, label_column, lang_column)
    texts = corpora({"nontoxic": nontoxic}, columns, split, lang, score_column, None, below)
    path = module.fit(
        pretrained, out, settings=chosen, revision=revision, device=device, checkpoint_steps=checkpoint_steps, **texts
    )
    how_to_use(pretrained, "dapt", path)


@app.command("gradient_ascent")
def gradient_ascent(
    pretrained: Pretrained,
    out: Out,
    toxic: Toxic,
    score_column: ScoreColumn = None,
    above: Above = None,
    epochs: Epochs = None,
    learning_rate: LearningRate = None,
    warmup_steps: Warmup = None,
    batch_size: BatchSize = 32,
    device_batch_size: DeviceBatch = 8,
    block_size: BlockSize = 128,
    max_steps: MaxSteps = None,
    lora: Lora = False,
    lora_rank: LoraRank = 16,
    bf16: Bf16 = None,
    seed: Seed = 0,
    checkpoint_steps: CheckpointSteps = 500,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    lang_column: LangColumn = "lang",
    split: Split = "train",
    lang: Lang = None,
    revision: Revision = None,
    device: Device = None,
) -> None:
    """Gradient ascent: OUT/gradient_ascent, trained to find toxic texts less likely; few, small steps."""
    module = methods("gradient_ascent.fit")
    chosen = settings(
        module.DEFAULTS, lora, lora_rank, epochs=epochs, learning_rate=learning_rate, warmup_steps=warmup_steps,
        batch_size=batch_size, device_batch_size=device_batch_size, block_size=block_size, max_steps=max_steps,
        bf16=bf16, seed=seed,
    )  # fmt: skip
    columns = (text_column, label_column, lang_column)
    texts = corpora({"toxic": toxic}, columns, split, lang, score_column, above, None)
    path = module.fit(
        pretrained, out, settings=chosen, revision=revision, device=device, checkpoint_steps=checkpoint_steps, **texts
    )
    how_to_use(pretrained, "gradient_ascent", path)
