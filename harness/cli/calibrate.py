"""``detoxbench calibrate``: a map from one scorer's scale to another's, and how good it is."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ...core import scorers
from ...core.errors import DetoxbenchError
from ...core.scorers import calibration
from ...core.scorers.agreement import FIGURES
from ...core.scorers.archive import ScoreArchive, default_path
from ...core.scorers.archived import Archived
from ...core.scorers.calibration import Calibration, End
from ...core.scorers.published_files import generation_groups

app = typer.Typer()


@app.callback(invoke_without_command=True)
def calibrate(
    scorer: Annotated[str, typer.Option(help="the scorer to calibrate")],
    to: Annotated[
        str, typer.Option(help="the scorer whose scale it is to be on, by its name in the archive")
    ] = "perspective",
    archive: Annotated[Path | None, typer.Option(help="score archive that has texts with scores of --to")] = None,
    out: Annotated[Path, typer.Option(help="JSON file to write; use it as --scorer calibrated:FILE")] = Path(
        "calibration.json"
    ),
    version: Annotated[str | None, typer.Option(help="of --to, if the archive has several")] = None,
    attribute: Annotated[str, typer.Option(help="of --to")] = "toxicity",
    lang: Annotated[list[str] | None, typer.Option(help="only these languages")] = None,
    generations: Annotated[
        list[Path] | None, typer.Option(help="generation files that say which texts belong to one prompt")
    ] = None,
    score: Annotated[
        bool, typer.Option("--score/--no-score", help="score the archive's texts with --scorer first")
    ] = True,
) -> None:
    """Fit, per language, an isotonic map from --scorer to the scale of --to on the texts that both have scored.

    The report is on held-out texts: Spearman, mean absolute error, agreement and Cohen's kappa at 0.5, and the bias of
    expected maximum toxicity, each with an interval."""
    with ScoreArchive(archive or default_path(), create=False) as store:
        target = End(to, _version(store, to, version), attribute)
        local = Archived(scorers.load(scorer, archive="none"), store)
        source = End(local.name, local.version, local.attributes[0])
        if (source.scorer, source.version) == (target.scorer, target.version):
            raise DetoxbenchError(f"'{scorer}' is the scorer that it would be calibrated to")
        groups = generation_groups(generations) if generations else None
        maps, short = {}, {}
        for language in lang or calibration.languages_of(store, target):
            if not scorers.supports(local, language):
                short[language] = f"'{scorer}' does not support it"
                continue
            if score:
                _score(store, local, target, language)
            try:
                found = calibration.pairs(store, source, target, language, local.former_names)
                maps[language] = calibration.fit_map(found, groups=groups)
            except DetoxbenchError as error:
                short[language] = str(error)
    for language, reason in short.items():
        typer.echo(f"{language}: left out: {reason}", err=True)
    if not maps:
        raise DetoxbenchError(f"nothing to calibrate: no language has enough scores of '{to}' {attribute}")
    fitted = Calibration(source, target, maps, spec=scorer)
    fitted.save(out)
    _print(fitted)
    typer.echo(f"written to {out}: use --scorer calibrated:{out}")


def _version(store: ScoreArchive, name: str, wanted: str | None) -> str:
    versions = store.versions(name)
    if wanted is not None and wanted in versions:
        return wanted
    if wanted is None and len(versions) == 1:
        return versions[0]
    listed = ", ".join(versions) or "none"
    raise DetoxbenchError(f"choose a version of '{name}' with --version: the archive '{store.path}' has {listed}")


def _score(store: ScoreArchive, scorer: Archived, target: End, language: str) -> None:
    """Score, and archive, the texts that the target has scored, as far as the archive keeps them."""
    texts: list[str] = []
    for key, _ in store.sets(target.scorer):
        if key.version == target.version and key.language == language and target.attribute in key.attributes:
            texts += [row.text for row in store.rows(key) if row.text is not None and row.reason is None]
    if texts:
        scorer.score(texts, language)


def _text(figure: dict[str, Any]) -> str:
    value, low, high = (math.nan if figure[name] is None else figure[name] for name in ("value", "low", "high"))
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _print(found: Calibration) -> None:
    title = f"{found.source.scorer} on the scale of {found.target.scorer} ({found.target.version}), held-out texts"
    table = Table("lang", "", "fitted", "held out", *(name.replace("_", " ") for name in FIGURES), title=title)
    for lang, one in found.languages.items():
        for kind in ("raw", "calibrated"):
            figures = (_text(dict(one.report[kind][name])) for name in FIGURES)
            table.add_row(lang, kind, f"{one.fitted:,}", f"{one.held_out:,}", *figures)
    console = Console()
    Console(width=None if console.is_terminal else 220).print(table)
