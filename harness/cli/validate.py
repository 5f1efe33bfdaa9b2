"""``detoxbench validate``: what scorers' numbers are worth against people's labels, in every language."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from ...core import scorers
from ...core.constants import TOXIC
from ...core.errors import DetoxbenchError
from ...core.files import fingerprint, sha256_text, write_json
from ...core.validity import split
from ...core.validity.labelled import LabelledText
from ...core.validity.measure import MACRO, RESAMPLES, Column, measure
from ...tasks import labels
from ...tasks.labels.registry import parse
from .. import validation
from . import validity_plot
from .output import echo_json

KIND = "detoxbench.validity"
SCHEMA = 1
SHOWN = {
    "auc": "AUC", "average_precision": "AP", "spearman": "Spearman", "f1": "F1", "kappa": "kappa",
    "quadratic_weighted_kappa": "QWK", "expected_calibration_error": "ECE",
}  # fmt: skip
"""Columns of the table; ``--json`` has every figure."""
ANNOTATORS = "annotators"


def validate(
    label_set: Annotated[str, typer.Option("--labels", help="NAME, NAME=PATH of a copy, or the path of your own file")],
    scorer: Annotated[list[str] | None, typer.Option(help="scorers; repeatable")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="published scores: NAME=FIELD, or NAME=FIELD:LOW-HIGH; repeatable")
    ] = None,
    part: Annotated[str | None, typer.Option(help="train, dev, calibration or test: that part of the clusters")] = None,
    lang: Annotated[list[str] | None, typer.Option(help="only these languages; repeatable")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="at most so many texts of a language")] = None,
    positive: Annotated[float, typer.Option(help="a mean rating of at least this is toxic")] = 3.0,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="a score of at least this says toxic")] = TOXIC,
    resamples: Annotated[int, typer.Option(min=100, help="of each interval")] = RESAMPLES,
    archive: Annotated[str, typer.Option(help="score archive to read and fill, so that a run resumes")] = "none",
    offline: Annotated[bool, typer.Option("--offline", help="from the archive alone")] = False,
    revision: Annotated[
        str | None, typer.Option(help="of the label set on the hub, in place of the pinned one")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, with every figure")] = False,
    out: Annotated[Path | None, typer.Option(help="write the JSON here too")] = None,
    plot: Annotated[Path | None, typer.Option(help="folder for charts, SVG and PNG")] = None,
) -> None:
    """Score texts that people have labelled: AUC, average precision, Spearman, accuracy, precision, recall, F1, kappa,
    quadratic- and linear-weighted kappa and calibration error per language and on average, with 95% intervals over
    clusters of texts, beside what one annotator reaches against the others; two scorers are compared on the same
    texts."""
    if not scorer and not column:
        raise DetoxbenchError("nothing to validate: give --scorer, or --column for scores that the labels hold")
    if part is not None:
        split.check(part)
    published = [validation.Published.parse(one) for one in column or ()]
    loaded = _load(scorer or (), archive, offline)
    name, path = parse(label_set)
    request = labels.Request(path, positive, [one.field for one in published], tuple(lang or ()), revision)
    chosen, texts, commit = labels.load(name, request)
    texts = _chosen(texts, part, limit)
    for one in loaded:
        _warn_of_training(one, chosen.name, part)
    columns = _columns(loaded, published, texts)
    with _bar("measuring", len(columns) + 1 + len(columns) * (len(columns) - 1) // 2) as bar:
        found = measure(texts, columns, threshold=threshold, cut=positive, resamples=resamples, on_measured=bar.update)
    whole = {
        "kind": KIND,
        "schema_version": SCHEMA,
        "labels": {
            **chosen.card(), "revision": commit, "part": part, "split_version": split.VERSION, "positive": positive,
            "sha256": fingerprint([(one.text, one.lang, one.label, one.cluster) for one in texts]),
        },
        "threshold": threshold,
        "resamples": resamples,
        **found,
    }  # fmt: skip
    if out is not None:
        write_json(out, whole)
    if as_json:
        echo_json(whole)
    else:
        _print(whole)
    if plot is not None:
        for file in validity_plot.draw(whole, plot):
            typer.echo(str(file), err=True)


def _load(specs: Sequence[str], archive: str, offline: bool) -> list[Any]:
    """The scorers, languages that they do not support left unscored."""
    given = None if archive == "none" else archive
    loaded = [
        scorers.load(spec, archive=given, offline=offline or None, on_unsupported="nan")
        for spec in dict.fromkeys(specs)
    ]
    for one in loaded:
        one.ready()
    return loaded


def _chosen(texts: Sequence[LabelledText], part: str | None, limit: int | None) -> list[LabelledText]:
    """Of a part of the clusters, and ``limit`` of each language: those whose clusters' hashes come first, since files
    are sorted by label or source as often as not, and so that languages have the same translations.

    Raises:
        DetoxbenchError: where nothing is left.
    """
    found = [one for one in texts if part is None or split.part_of(one.cluster) == part]
    if limit is not None:
        kept: dict[str, list[int]] = {}
        for place in sorted(range(len(found)), key=lambda place: (sha256_text(found[place].cluster), place)):
            own = kept.setdefault(found[place].lang, [])
            if len(own) < limit:
                own.append(place)
        found = [found[place] for place in sorted(place for places in kept.values() for place in places)]
    if not found:
        raise DetoxbenchError(f"no text of the {len(texts):,} labelled ones is in the part '{part}'")
    return found


def _warn_of_training(scorer: Any, labels_name: str, part: str | None) -> None:
    sources = [one.get("name") for one in scorer.card.get("sources", ())]
    if labels_name in sources and part != "test":
        typer.echo(
            f"warning: {scorer.name} was fitted on '{labels_name}': only --part test is new to it; these figures are "
            "too good",
            err=True,
        )


def _bar(what: str, total: int) -> tqdm:
    return tqdm(total=total, desc=what, disable=not sys.stderr.isatty(), leave=False)


def _columns(
    loaded: Sequence[Any], published: Sequence[validation.Published], texts: Sequence[LabelledText]
) -> list[Column]:
    columns = [one.column(texts) for one in published]
    for one in loaded:
        with _bar(one.name, len(texts)) as bar:
            columns.append(validation.scored(one, texts, bar.update))
    return columns


def _cell(figure: Mapping[str, float | None] | None, interval: bool = True) -> str:
    if figure is None or figure["value"] is None:
        return "–"
    if figure["low"] is None or not interval:
        return f"{figure['value']:.2f}"
    return escape(f"{figure['value']:.2f} [{figure['low']:.2f}, {figure['high']:.2f}]")


def _print(whole: Mapping[str, Any]) -> None:
    """One table a scorer, one for the annotators, then groups and comparisons."""
    terminal = Console()
    console = terminal if terminal.is_terminal else Console(width=200)
    about = whole["labels"]
    console.print(f"{escape(about['title'])}: {whole['texts']:,} texts, {escape(about['measures'])}")
    for one in whole["scorers"]:
        speed = one.get("texts_per_second")
        title = f"{one['name']} ({one['version'][:19]})" + (f", {speed:,.0f} texts a second" if speed else "")
        rows = {lang: (entry["figures"], entry) for lang, entry in one["languages"].items()}
        _figures(console, title, rows, one[MACRO]["figures"])
    if whole[ANNOTATORS] is not None:
        rows = {lang: (entry["figures"], entry) for lang, entry in whole[ANNOTATORS]["languages"].items()}
        macro = whole[ANNOTATORS][MACRO]["figures"]
        alpha = _cell(macro["alpha_ordinal"])
        _figures(console, f"each annotator against the others (Krippendorff's alpha {alpha})", rows, macro)
    for figure, values in about.get("published", {}).items():
        _published(console, figure, values, whole)
    for one in whole["scorers"]:
        for grouping, values in one["groups"].items():
            _group(console, one["name"], grouping, values)
    for one in whole["comparisons"]:
        _comparison(console, one)


def _published(console: Console, figure: str, values: Mapping[str, float], whole: Mapping[str, Any]) -> None:
    """What others have published of that figure on the whole set, beside ours on these texts."""
    about, name = whole["labels"], escape(figure.replace("_", " "))
    beside = ", ".join(f"{escape(who)} {value:.3f}" for who, value in values.items())
    console.print(f"{name}, published ({escape(about['citation'])}): {beside}")
    sides = [(one["name"], one[MACRO]["figures"]) for one in whole["scorers"]]
    sides += [("one annotator", whole[ANNOTATORS][MACRO]["figures"])] if whole[ANNOTATORS] is not None else []
    ours = ", ".join(f"{escape(who)} {_cell(found.get(figure))}" for who, found in sides)
    console.print(f"{name}, here, mean over languages: {ours}")


def _figures(console: Console, title: str, rows: Mapping[str, Any], macro: Mapping[str, Any]) -> None:
    table = Table("language", "texts", "unscored", *SHOWN.values(), title=title, title_justify="left")
    for lang, (found, entry) in rows.items():
        worse = entry.get("better_than_chance") is False
        table.add_row(
            f"{lang} (no better than chance)" if worse else lang, f"{entry['texts']:,}",
            f"{entry['unscored']:,}" if "unscored" in entry else "", *(_cell(found.get(name)) for name in SHOWN),
        )  # fmt: skip
    table.add_row("mean", "", "", *(_cell(macro.get(name)) for name in SHOWN), style="bold")
    console.print(table)


def _group(console: Console, name: str, grouping: str, values: Mapping[str, Any]) -> None:
    langs = sorted({lang for by_lang in values.values() for lang in by_lang})
    shown = "failure_rate"
    if all(entry["toxic"] == 0 for by_lang in values.values() for entry in by_lang.values()):
        shown = "false_positive_rate"
    title = f"{name}: {shown.replace('_', ' ')} by {grouping}"
    table = Table(grouping, *langs, title=title, title_justify="left")
    for value, by_lang in values.items():
        table.add_row(escape(value), *(_cell(by_lang[lang][shown], False) if lang in by_lang else "" for lang in langs))
    console.print(table)


def _comparison(console: Console, found: Mapping[str, Any]) -> None:
    title = f"AUC of {found['scorer']} minus that of {found['reference']}, on the same texts"
    table = Table("language", "texts", "difference", "p, corrected", title=title, title_justify="left")
    for lang, entry in found["languages"].items():
        auc = entry["differences"]["auc"]
        p = auc["p_adjusted"]
        table.add_row(lang, f"{entry['texts']:,}", _cell(auc), "–" if p is None else f"{p:.3g}")
    if found[MACRO]:
        p = found[MACRO]["auc"]["p"]
        table.add_row("mean", "", _cell(found[MACRO]["auc"]), "–" if p is None else f"{p:.3g}", style="bold")
    console.print(table)
