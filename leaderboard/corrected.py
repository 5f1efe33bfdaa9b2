"""A run's share of toxic texts as people would judge it, with an interval that contains the scorer's error.

From a sample of the run's own texts that people rated (``detoxbench annotate``), as its study file beside the results
has it; else from published labels of other texts that the same scorer has scored, under the assumption of transport
(``core.statistics.transported``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ..core.results import Run, TaskResult
from ..core.statistics import transported
from ..core.statistics.transported import Bin, Transported
from .validity import known
from .validity.records import ValidityRecord

MACRO = "macro"
STUDIES = "annotations_rating_*.json"
QUESTION = "toxic"
By = Literal["sample", "labels"]
HOW: Mapping[By, str] = {
    "sample": "people rated a sample of the run's own texts",
    "labels": f"people's labels of other texts; {transported.ASSUMPTION}",
}
Estimates = Mapping[str, "Corrected"]
"""Language, or ``MACRO`` -> estimate."""


@dataclass(frozen=True)
class Corrected:
    """A share of toxic texts, or a difference of two.

    Args:
        value, low, high: estimate and 95% interval; None where there is none.
        by: what it rests on, see ``HOW``.
        labels: the study, or the label set.
        labelled: texts that people judged.
    """

    value: float
    low: float | None
    high: float | None
    by: By
    labels: str
    labelled: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def shares(run: Run, published: Iterable[ValidityRecord]) -> dict[str, Corrected]:
    """Every language's share of toxic texts that can be had, and the average over languages if all have one of a kind.

    Args:
        run: with its samples.
        published: validity of scorers.
    """
    tasks = {task.record.lang or name: task for name, task in run.tasks.items()}
    rated = _rated(run)
    if rated and all(lang in rated for lang in tasks):
        return rated
    moved = _transported(tasks, published)
    found = {lang: rated.get(lang) or _corrected(*moved[lang]) for lang in tasks if lang in rated or lang in moved}
    if len(tasks) > 1 and all(lang in moved and lang not in rated for lang in tasks):
        each = [moved[lang] for lang in tasks]
        value, low, high = transported.macro_average([one for one, _ in each])
        names = ", ".join(dict.fromkeys(name for _, name in each))
        found[MACRO] = Corrected(value, _number(low), _number(high), "labels", names, sum(o.labelled for o, _ in each))
    return found


def differences(a: Run, b: Run, published: Iterable[ValidityRecord]) -> dict[str, Corrected]:
    """``b - a`` of the shares, paired by prompt: from a study of both, else from labels for the scorer."""
    rated = _rated_differences(a, b)
    tasks = [{task.record.lang or name: task for name, task in run.tasks.items()} for run in (a, b)]
    records = list(published)
    one, other = (_transported(side, records) for side in tasks)
    found = dict(rated)
    for lang in (lang for lang in one if lang in other and lang not in rated):
        (first, name), (second, of) = one[lang], other[lang]
        if name == of:
            moved = transported.difference(first, second)
            found[lang] = Corrected(
                moved.value, _number(moved.low), _number(moved.high), "labels", name, first.labelled
            )
    return found


def _corrected(found: Transported, labels: str) -> Corrected:
    low, high = found.bounds()
    return Corrected(found.value, _number(low), _number(high), "labels", labels, found.labelled)


def _transported(
    tasks: Mapping[str, TaskResult], published: Iterable[ValidityRecord]
) -> dict[str, tuple[Transported, str]]:
    """Language -> estimate from labels for its scorer, and the label set: of several the one with the most texts."""
    records, found = list(published), {}
    for lang, task in tasks.items():
        curves = [
            (entry.texts - entry.unscored, record.labels.name, entry.reliability)
            for record, _, at, entry in known.entries(records, task.record.scorer, task.record.scorer_version)
            if known.primary(at) == known.primary(lang)
        ]
        if not curves:
            continue
        _, name, curve = max(curves, key=lambda one: one[:2])
        bins = [Bin(one.low, one.high, one.texts, one.texts * one.toxic) for one in curve]
        scores, prompts = _scores(task)
        if scores and sum(one.texts for one in bins) >= transported.LEAST:
            found[lang] = transported.transported(scores, prompts, bins), name
    return found


def _scores(task: TaskResult) -> tuple[list[float], list[tuple[str, str, str]]]:
    """Of every continuation that has one, and whose continuation it is."""
    scores, prompts = [], []
    for row in task.read_samples() if task.samples is not None else ():
        for score in next(iter(row.measured.scores.values()), ()):
            if score is not None:
                scores.append(float(score))
                prompts.append((row.doc.lang, row.doc.id, row.doc.text))
    return scores, prompts


def _studies(run: Run) -> Iterator[Mapping[str, Any]]:
    """What ``detoxbench annotate`` wrote beside the results about this very file, the newest last."""
    for path in sorted(Path(run.path).parent.glob(STUDIES)):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(found, dict) and isinstance(found.get("estimates"), dict) and run.path.name in found["estimates"]:
            yield found


def _rated(run: Run) -> dict[str, Corrected]:
    found = {}
    for study in _studies(run):
        for lang, cell in study["estimates"][run.path.name].items():
            toxic = cell.get(QUESTION, {})
            if one := _of_study(toxic.get("prediction_powered"), study, int(toxic.get("labelled", 0))):
                found[lang] = one
    return found


def _rated_differences(a: Run, b: Run) -> dict[str, Corrected]:
    found = {}
    for study in _studies(b):
        if study.get("base") == a.path.name:
            for lang, moved in study.get("differences", {}).get(b.path.name, {}).items():
                labelled = study["estimates"][b.path.name].get(lang, {}).get(QUESTION, {}).get("labelled", 0)
                if one := _of_study(moved, study, int(labelled)):
                    found[lang] = one
    return found


def _of_study(found: Mapping[str, Any] | None, study: Mapping[str, Any], labelled: int) -> Corrected | None:
    if not found or found.get("value") is None:
        return None
    return Corrected(found["value"], found.get("low"), found.get("high"), "sample", f"study {study['study']}", labelled)


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def notes(estimates: Sequence[Estimates]) -> list[str]:
    """What the estimates rest on, one line for each kind that is among them."""
    there = dict.fromkeys((one.by, one.labels) for found in estimates for one in found.values())
    return [f"{labels}: {HOW[by]}" for by, labels in there]
