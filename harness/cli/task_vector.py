"""``detoxbench task-vector``: each stage of split-merge as a command; ``detoxbench fit task_vector`` runs all.

select   texts above or below a score  ->  JSONL
split    JSONL                          ->  part_0.jsonl, part_1.jsonl, …
train    a part                         ->  a fine-tuned model (any machine, any order)
merge    fine-tuned models              ->  their average
negate   base, fine-tuned models        ->  base - coefficient * (average - base)
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ...core.errors import DetoxbenchError
from ...methods import artifacts
from ...methods.task_vector import fit as stages
from ...methods.task_vector.settings import AUTO, Settings
from ...methods.training import finetune
from ...methods.training import split as splitting
from ...methods.training.select import Selected
from ...methods.training.settings import FitSettings
from ...methods.training.texts import Columns
from . import options
from .options import Device, LabelColumn, Lang, LangColumn, Nontoxic, Out, Pretrained, Revision, Split, TextColumn, say

app = typer.Typer(no_args_is_help=True)

Sources = Annotated[list[str], typer.Argument(help="JSONL, CSV or Parquet file, or Hugging Face NAME or NAME:SUBSET")]
Finetuned = Annotated[
    list[str],
    typer.Option(help="fine-tuned model or LoRA adapter: folder or hub name; or a folder of part_0, …; repeatable"),
]
PartTexts = Annotated[list[str], typer.Option(help="the part's texts: JSONL file or data set; repeatable")]
PartOut = Annotated[Path, typer.Option(help="folder of the fine-tuned model, such as models/part_0")]
Coefficient = Annotated[
    str, typer.Option(help="how much is taken away: a number, or auto (needs --nontoxic, held out)")
]
MaxRatio = Annotated[float, typer.Option(help="with auto: bound on perplexity over the base model's")]
BlockSize = Annotated[int, typer.Option(help="tokens a row")]
Dtype = Annotated[str | None, typer.Option(help="of the merged weights; default: the base model's")]
Shard = Annotated[float, typer.Option(help="GB of a file; larger models are spread over several")]


@app.command()
def select(
    sources: Sources,
    out: Annotated[Path, typer.Option(help="JSONL file to write")],
    score_column: Annotated[str, typer.Option(help="column of the score; dots reach into nested ones")] = "toxicity",
    above: Annotated[float | None, typer.Option(help="texts that score more than this")] = None,
    below: Annotated[float | None, typer.Option(help="texts that score less than this")] = None,
    text_column: TextColumn = "text",
    lang_column: LangColumn = "lang",
    split: Split = "train",
    lang: Lang = None,
) -> None:
    """Texts by a threshold on a score: google/civil_comments --above 0.8 --out toxic.jsonl."""
    side = "toxic" if below is None else "nontoxic"
    chosen = Selected(
        sources, side, score_column, above=above, below=below, text=text_column, lang=lang_column, split=split,
        langs=tuple(lang or ()),
    )  # fmt: skip
    splitting.write(list(chosen), out)
    left = "".join(f", {count:,} left out: {reason}" for reason, count in chosen.skipped.items())
    say(f"{out}: {chosen.count:,} texts{left}")


@app.command("split")
def split_(
    sources: Annotated[list[str], typer.Argument(help="JSONL files, or data sets")],
    out: Annotated[Path, typer.Option(help="folder for part_0.jsonl, part_1.jsonl, …")],
    splits: Annotated[int, typer.Option(help="how many parts")] = 5,
    seed: Annotated[int, typer.Option(help="of the shuffling")] = 0,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    lang_column: LangColumn = "lang",
    split: Split = "train",
    lang: Lang = None,
) -> None:
    """Toxic texts into random parts of equal size."""
    columns = Columns(text_column, label_column, lang_column)
    texts = options.corpora({"toxic": sources}, columns, split, lang)["toxic"]
    for part in splitting.split(texts, splits, seed):
        path = out / f"part_{part.number}.jsonl"
        splitting.write(part.texts, path)
        say(f"{path}: {len(part):,} texts")


def _train(**given: Any) -> None:
    """Fine-tune the base model on one part."""
    settings = FitSettings(**FitSettings.nested(options.chosen(FitSettings, given)))
    columns = Columns(given["text_column"], given["label_column"], given["lang_column"])
    texts = options.corpora({"toxic": given["toxic"]}, columns, given["split"], given["lang"])
    out = given["out"]
    path = finetune.fit(
        given["pretrained"], texts["toxic"], out.parent, out.name, settings=settings.training(),
        revision=given["revision"], device=given["device"], checkpoint_steps=settings.checkpoint_steps,
    )  # fmt: skip
    say(str(path))


app.command("train", help=_train.__doc__)(
    options.keywords(
        _train,
        [
            options.parameter("pretrained", Pretrained),
            options.parameter("toxic", PartTexts),
            options.parameter("out", PartOut),
            *options.parameters(FitSettings, {}),
            *options.columns(),
        ],
    )
)


@app.command()
def merge(
    pretrained: Pretrained,
    finetuned: Finetuned,
    out: Out,
    dtype: Dtype = None,
    max_shard_size: Shard = 5.0,
    revision: Revision = None,
) -> None:
    """The average of fine-tuned models, as a checkpoint; the base model says what they share."""
    _report(_negate(pretrained, finetuned, out, stages.AVERAGE, dtype, max_shard_size, revision))


@app.command()
def negate(
    pretrained: Pretrained,
    finetuned: Finetuned,
    out: Out,
    coefficient: Coefficient = "1.0",
    nontoxic: Nontoxic = None,
    toxic: Annotated[list[str] | None, typer.Option(help="with auto: texts for the curve; repeatable")] = None,
    max_perplexity_ratio: MaxRatio = 1.5,
    block_size: BlockSize = 128,
    dtype: Dtype = None,
    max_shard_size: Shard = 5.0,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    lang_column: LangColumn = "lang",
    split: Split = "train",
    lang: Lang = None,
    revision: Revision = None,
    device: Device = None,
) -> None:
    """The base model without what the fine-tuned ones learned, as a checkpoint."""
    chosen = Settings(coefficient=coefficient).coefficient
    amount = None if chosen == AUTO else chosen
    if amount is None and not nontoxic:
        raise DetoxbenchError("--coefficient auto measures perplexity on held-out non-toxic texts: give --nontoxic")
    sides = {"nontoxic": nontoxic, "toxic": toxic} if amount is None else {}
    texts = options.corpora(sides, Columns(text_column, label_column, lang_column), split, lang)
    _report(
        _negate(
            pretrained, finetuned, out, amount, dtype, max_shard_size, revision, device=device,
            max_ratio=max_perplexity_ratio, block_size=block_size, **texts,
        )
    )  # fmt: skip


def _negate(
    pretrained: str, finetuned: list[str], out: Path, coefficient: float | None, dtype: str | None, shard: float,
    revision: str | None, **more: Any,
) -> Path:  # fmt: skip
    if not shard > 0:
        raise DetoxbenchError(f"--max-shard-size {shard}: it must be above 0")
    return stages.negate(
        pretrained, finetuned, out, coefficient=coefficient, dtype=dtype, max_shard=int(shard * 1e9), revision=revision,
        **more,
    )  # fmt: skip


def _report(path: Path) -> None:
    manifest = artifacts.read(path)
    say(f"{path}: {len(manifest['parts'])} fine-tuned, coefficient {manifest['coefficient']:.6g}")
    say(f"use it: lm_eval --model hf --model_args pretrained={path} --tasks …")
