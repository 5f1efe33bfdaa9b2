"""``detoxbench agreement``: how well scorers agree on the texts of one file."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...core.constants import RESAMPLES
from ...core.errors import DetoxbenchError
from ...core.files import safe_name
from ...core.progress import Stages
from ...core.scorers import Scorer
from ...core.scorers.agreement import FIGURES
from ...core.scorers.agreement import agreement as figures_of
from ...core.statistics import Interval
from ..reporting.rows import text as _text
from . import sources
from .output import echo_json


def agreement(
    file: Annotated[Path, typer.Argument(help="generation file, or one of lm-eval's samples_*.jsonl")],
    scorer: Annotated[
        list[str], typer.Option(help="at least two; the earlier of a pair is the reference; 'given' for the file's own")
    ],
    archive: Annotated[
        Path | None, typer.Option(help="score archive; by default $DETOXBENCH_ARCHIVE or your data folder; 'none'")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="from the archive alone")] = False,
    lang: Annotated[
        str | None, typer.Option(help="language of the texts where the file does not say; identified otherwise")
    ] = None,
    on_unsupported: Annotated[
        str | None, typer.Option(help="'error' (the default), or 'nan' to leave other languages out")
    ] = None,
    resamples: Annotated[int, typer.Option(min=100, help="of each interval")] = RESAMPLES,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Compare scorers on the texts that both have scored, per language: Spearman's correlation, mean absolute error,
    agreement and Cohen's kappa at 0.5, and the bias of expected maximum toxicity, each with an interval over prompts.
    Scores are of each scorer's first attribute."""
    if len(set(scorer)) < 2:
        raise DetoxbenchError(f"agreement needs two different scorers, given {', '.join(scorer)}")
    runs = sources.read([file], lang)
    loaded = sources.load(scorer, runs, archive=archive, offline=offline, on_unsupported=on_unsupported)
    found = []
    progress = _progress(runs[0].parts, loaded)
    for part in runs[0].parts:
        columns = {spec: _column(part, one, progress) for spec, one in loaded}
        for (first, one), (second, other) in itertools.combinations(loaded, 2):
            for tag in sorted({prompt.lang for prompt in part.prompts}):
                pair = _compare(part, tag, columns[second], columns[first], resamples)
                about = {"reference": _about(one, columns[first][0]), "scorer": _about(other, columns[second][0])}
                found.append({"lang": tag, **about, **pair})
    progress.close(well=True)
    for spec, one in loaded:
        if isinstance(one, Scorer) and one.missing:
            typer.echo(
                f"{spec}: {len(one.missing):,} texts are not in the archive '{one.archived_in}'; detoxbench score "
                f"--offline lists them in missing_{safe_name(spec)}.jsonl",
                err=True,
            )
    if as_json:
        echo_json(found, default=_plain)
    else:
        _print(file, found)


def _about(scorer: Any, attribute: str) -> dict[str, str]:
    return {"name": scorer.name, "version": scorer.version, "attribute": attribute}


def _progress(parts: Any, loaded: Any) -> Stages:
    """Of all texts under all scorers."""
    from ...tasks import rescore

    return Stages("scoring", rescore.work(parts, [one for _, one in loaded], "none", prompts=False))


def _column(part: Any, scorer: Any, progress: Stages) -> tuple[str, np.ndarray]:
    """The first attribute, and its scores [texts], NaN where there is none."""
    from ...tasks import measure, rescore

    if isinstance(scorer, rescore.GivenScores):
        found = scorer.of(part)
    else:
        found = measure.score(scorer, part.prompts, part.generations, progress=progress)
    attribute = scorer.attributes[0]
    return attribute, np.array([math.nan if one is None else one for one in found.scores[attribute]], dtype=float)


def _compare(
    part: Any, lang: str, scores: tuple[str, np.ndarray], reference: tuple[str, np.ndarray], resamples: int
) -> dict[str, Any]:
    """Figures on the texts of one language that both have scored, with the number of those and of the rest."""
    owner = np.repeat(np.arange(len(part.prompts)), [len(texts) for texts in part.generations])
    here = np.array([part.prompts[place].lang == lang for place in owner], dtype=bool)
    both = here & np.isfinite(scores[1]) & np.isfinite(reference[1])
    numbers = {"texts": int(both.sum()), "left_out": int(here.sum() - both.sum())}
    if not both.any():
        nothing = Interval(math.nan, math.nan, math.nan, "undefined", 0, 0, 0.95)
        return {**numbers, "prompts": 0, "figures": dict.fromkeys(FIGURES, nothing)}
    prompts = owner[both]
    groups = [np.flatnonzero(prompts == prompt) for prompt in np.unique(prompts)]
    figures = figures_of(scores[1][both], reference[1][both], groups=groups, resamples=resamples)
    return {**numbers, "prompts": len(groups), "figures": figures}


def _plain(value: Any) -> Any:
    if isinstance(value, Interval):
        kept = {"value": value.value, "low": value.low, "high": value.high}
        return {name: None if math.isnan(one) else one for name, one in kept.items()}
    raise TypeError(type(value).__name__)


def _print(file: Path, found: list[dict[str, Any]]) -> None:
    title = f"{file}: scorers against a reference, on the texts that both have scored"
    columns = (name.replace("_", " ") for name in FIGURES)
    table = Table("lang", "scorer", "reference", "texts", "left out", *columns, title=escape(title))
    for one in found:
        figures: Mapping[str, Interval] = one["figures"]
        names = (escape(one[role]["name"]) for role in ("scorer", "reference"))
        numbers = (f"{one[name]:,}" for name in ("texts", "left_out"))
        table.add_row(one["lang"], *names, *numbers, *(_text(figures[name]) for name in FIGURES))
    console = Console()
    Console(width=None if console.is_terminal else 220).print(table)
