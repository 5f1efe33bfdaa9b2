"""Options that several commands share, and options made from a settings model's fields."""

from __future__ import annotations

import inspect
import os
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import typer

from ...core.errors import DetoxbenchError
from ...methods.settings import Option, Settings, Switched
from ...methods.training.pairs import PairColumns, Pairs
from ...methods.training.select import Selected
from ...methods.training.texts import Columns, Texts

Pretrained = Annotated[str, typer.Option(help="base model: folder, hub name or mini")]
Out = Annotated[Path, typer.Option(help="folder for the artifacts")]
Sources = list[str] | None
Toxic = Annotated[
    Sources, typer.Option(help="toxic texts: JSONL file, or Hugging Face data set NAME or NAME:SUBSET; repeatable")
]
Nontoxic = Annotated[Sources, typer.Option(help="non-toxic texts, likewise")]
PairFiles = Annotated[
    Sources, typer.Option("--pairs", help="the same said in a toxic and a neutral way: TSV, CSV or JSONL; repeatable")
]
ToxicColumn = Annotated[str, typer.Option(help="of --pairs: field with the toxic text")]
NeutralColumn = Annotated[str, typer.Option(help="of --pairs: field with the neutral text; NAME1, NAME2, … serve too")]
PromptColumn = Annotated[str, typer.Option(help="of --pairs: field with what is read before both, if any")]
TextColumn = Annotated[str, typer.Option(help="field with the text")]
LabelColumn = Annotated[
    str, typer.Option(help="field with a label or score, if any: texts of the other side are left out")
]
LangColumn = Annotated[str, typer.Option(help="field with the language, if any")]
ScoreColumn = Annotated[
    str | None, typer.Option(help="choose texts by this column's number, with --above or --below, instead of a label")
]
Above = Annotated[float | None, typer.Option(help="with --score-column: toxic texts score more than this")]
Below = Annotated[float | None, typer.Option(help="with --score-column: non-toxic texts score less than this")]
Split = Annotated[str, typer.Option(help="split of Hugging Face data sets")]
Lang = Annotated[list[str] | None, typer.Option(help="only texts in these languages; repeatable")]
Revision = Annotated[str | None, typer.Option(help="commit or tag of the base model on the hub")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, …; default: a GPU if there is one")]


def first() -> bool:
    """Whether this is the first of several processes of ``accelerate launch``, which alone speaks."""
    return os.environ.get("RANK", "0") == "0"


def say(line: str) -> None:
    """A line of the summary, from the first process only."""
    if first():
        typer.echo(line)


def corpora(
    sides: Mapping[str, Sequence[str] | None],
    columns: Columns,
    split: str = "train",
    langs: Sequence[str] | None = None,
    score: str | None = None,
    above: float | None = None,
    below: float | None = None,
) -> dict[str, Any]:
    """The texts of each side that is given: by label, or by score.

    Raises:
        DetoxbenchError: for bounds without a column, and for texts that cannot be read.
    """
    bounds = {"toxic": {"above": above}, "nontoxic": {"below": below}}
    if score is None and (above is not None or below is not None):
        raise DetoxbenchError("--above and --below are about a column: name it with --score-column")
    found: dict[str, Any] = {}
    for side, sources in sides.items():
        if not sources:
            continue
        only = tuple(langs or ())
        if score is not None and next(iter(bounds[side].values())) is not None:
            one = Selected(
                sources, side, score, **bounds[side], text=columns.text, lang=columns.lang, split=split, langs=only
            )
        else:
            one = Texts(sources, side, columns, split, only)
        found[side] = one
        typer.echo(f"{side}: {one.count:,} texts{_left_out(one.skipped)}", err=True)
    return found


def paired(sources: Sequence[str], columns: PairColumns, langs: Sequence[str] | None = None) -> Pairs:
    """Paired text.

    Raises:
        DetoxbenchError: for files that cannot be read, or hold no pairs.
    """
    found = Pairs(sources, columns, tuple(langs or ()))
    typer.echo(f"pairs: {found.count:,}{_left_out(found.skipped)}", err=True)
    return found


def _left_out(skipped: Mapping[str, int]) -> str:
    return "".join(f", {count:,} left out: {reason}" for reason, count in skipped.items())


def parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    """A keyword of a command's function."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def parameters(
    settings: type[Settings], defaults: Mapping[str, Any], fixed: Sequence[str] = ()
) -> list[inspect.Parameter]:
    """An option for every field of a settings model, and a flag for those that one turns on.

    Args:
        defaults: name of an option -> default, where it is not the field's.
        fixed: fields without an option.
    """
    found = []
    for name, option in settings.options().items():
        if name in fixed:
            continue
        switched = option.marked(Switched)
        default = defaults.get(name, option.field.default)
        if switched is not None:
            flag = typer.Option(_long(switched.flag), help=switched.help)
            found.append(parameter(switched.flag, Annotated[bool, flag], False))
            default = switched.value
        found.append(_parameter(name, option, default))
    return found


def chosen(settings: type[Settings], given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings among a command's values, by names of options."""
    found = {}
    for name, option in settings.options().items():
        switched = option.marked(Switched)
        if name in given:
            off = switched is not None and not given[switched.flag]
            found[name] = option.field.default if off else given[name]
    return found


def columns() -> list[inspect.Parameter]:
    """How texts are read, and the base model's revision and device."""
    return [
        parameter("text_column", TextColumn, "text"), parameter("label_column", LabelColumn, "label"),
        parameter("lang_column", LangColumn, "lang"), parameter("split", Split, "train"), parameter("lang", Lang, None),
        parameter("revision", Revision, None), parameter("device", Device, None),
    ]  # fmt: skip


def pair_columns() -> list[inspect.Parameter]:
    """How paired text is read."""
    return [
        parameter("pairs", PairFiles, None), parameter("toxic_column", ToxicColumn, PairColumns.toxic),
        parameter("neutral_column", NeutralColumn, PairColumns.neutral),
        parameter("prompt_column", PromptColumn, PairColumns.prompt),
    ]  # fmt: skip


def keywords(function: Callable[..., None], parameters: Sequence[inspect.Parameter]) -> Callable[..., None]:
    """A function of these keywords, as typer reads one."""

    def run(**given: Any) -> None:
        function(**given)

    required = [one for one in parameters if one.default is inspect.Parameter.empty]
    optional = [one for one in parameters if one.default is not inspect.Parameter.empty]
    run.__signature__ = inspect.Signature([*required, *optional])  # type: ignore[attr-defined]
    run.__annotations__ = {}
    return run


def command(name: str, function: Callable[..., None], parameters: Sequence[inspect.Parameter], help: str) -> Any:
    """A command whose options are these parameters, which the function takes as keywords."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name, help=help)(keywords(function, parameters))
    return typer.main.get_command(app)


def _parameter(name: str, option: Option, default: Any) -> inspect.Parameter:
    kind = _typed(option.field.annotation)
    if default is None or not option.field.is_required():
        kind = kind | None if default is None else kind
    flag = [_long(name)] if kind is bool and default is False else []
    if option.field.is_required():
        return parameter(name, Annotated[kind, typer.Option(help=option.help)])
    shown = default if isinstance(default, bool | int | float | str) or default is None else str(default)
    shown = str(default) if kind is str and default is not None else shown
    return parameter(name, Annotated[kind, typer.Option(*flag, help=option.help)], shown)


def _typed(annotation: Any) -> Any:
    """What typer reads a field from; a text where it cannot, which the settings model checks."""
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [one for one in get_args(annotation) if one is not type(None)]
        return _typed(inner[0]) if len(inner) == 1 else str
    if annotation in (bool, int, float, str, Path) or get_origin(annotation) is list:
        return annotation
    return str


def _long(name: str) -> str:
    return "--" + name.replace("_", "-")
