"""A run's share of toxic texts as people would judge it, with an interval that contains the scorer's error.

From a sample of the run's own texts that people rated (``detoxbench annotate``), as its study file beside the results
has it; else from published labels of other texts that the same scorer has scored, under the assumption of transport
(``core.statistics.transported``).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

from ..core.annotation_study import DifferenceBounds, ShareBounds, Study, path_beside, read_study
from ..core.constants import MINI, TOXIC
from ..core.errors import DetoxbenchError
from ..core.results import Run, TaskResult
from ..core.statistics import transported
from ..core.statistics.transported import Errors, Moved, Transported
from .submissions import DIGITS, Corrected, rounded
from .validity import known
from .validity.records import Curve, Language, ValidityRecord

logger = logging.getLogger(__name__)

MACRO = "macro"
CLOSE = 1e-9
HOW: Mapping[str, str] = {
    "sample": "people rated a sample of the run's own texts",
    "labels": f"people's labels of other texts; {transported.ASSUMPTION}",
}
Estimates = Mapping[str, Corrected]
"""Language, or ``MACRO`` -> estimate."""


def shares(run: Run, published: Iterable[ValidityRecord], names: Collection[str] | None = None) -> dict[str, Corrected]:
    """Every language's share of toxic texts that can be had, and the average over languages if all have one of a kind.

    Args:
        run: with its samples.
        published: validity of scorers.
        names: of the tasks that belong together; all where left out.
    """
    tasks = {task.record.lang or name: task for name, task in run.tasks.items() if names is None or name in names}
    rated = {lang: one for lang, one in _rated(run).items() if lang in {*tasks, MACRO}}
    if tasks and all(lang in rated for lang in tasks):
        return rated
    moved = _transported(tasks, published)
    found = {lang: rated.get(lang) or _corrected(*moved[lang]) for lang in tasks if lang in rated or lang in moved}
    if len(tasks) > 1 and all(lang in moved and lang not in rated for lang in tasks):
        each = [moved[lang] for lang in tasks]
        found[MACRO] = _mean([(one, name, one.labelled) for one, name in each])
    return found


def differences(
    a: Run, b: Run, published: Iterable[ValidityRecord], names: Collection[str] | None = None
) -> dict[str, Corrected]:
    """``b - a`` of the shares, paired by prompt: from a study of both, else from labels for the scorer; the average
    over languages if all have one of a kind.

    Args:
        a, b: with their samples.
        published: validity of scorers.
        names: of the tasks that belong together; all where left out.
    """
    sides = [
        {task.record.lang or name: task for name, task in run.tasks.items() if names is None or name in names}
        for run in (a, b)
    ]
    langs = [lang for lang in sides[0] if lang in sides[1]]
    rated = {lang: one for lang, one in _rated_differences(a, b).items() if lang in {*langs, MACRO}}
    if langs and all(lang in rated for lang in langs):
        return rated
    records = list(published)
    one, other = (_transported(side, records) for side in sides)
    found = {lang: moved for lang, moved in rated.items() if lang != MACRO}
    moves = []
    for lang in (lang for lang in langs if lang in one and lang in other and lang not in rated):
        (first, name), (second, of) = one[lang], other[lang]
        if name == of:
            moved = transported.difference(first, second)
            moves.append((moved, name, first.labelled))
            found[lang] = _made(moved.value, moved.low, moved.high, "labels", name, first.labelled)
    if len(langs) > 1 and len(moves) == len(langs):
        found[MACRO] = _mean(moves)
    return found


def _mean(each: Sequence[tuple[Transported | Moved, str, int]]) -> Corrected:
    mean = transported.macro_average([one for one, _, _ in each])
    names = ", ".join(dict.fromkeys(name for _, name, _ in each))
    return _made(mean.value, mean.low, mean.high, "labels", names, sum(count for *_, count in each))


def _corrected(found: Transported, labels: str) -> Corrected:
    low, high = found.bounds()
    return _made(found.value, low, high, "labels", labels, found.labelled)


def _transported(
    tasks: Mapping[str, TaskResult], published: Iterable[ValidityRecord]
) -> dict[str, tuple[Transported, str]]:
    """Language -> estimate from labels for its scorer, and the label set: of several the one with the most texts."""
    records, found = list(published), {}
    for lang, task in tasks.items():
        if task.record.scorer == MINI:
            continue  # its labels are of real texts, on which it guesses; in its own world it knows every text
        threshold = task.record.constants.get("toxic", TOXIC)
        judged = [
            (entry.texts - entry.unscored, record.labels.name, errors)
            for record, _, at, entry in known.entries(records, task.record.scorer, task.record.scorer_version)
            if known.primary(at) == known.primary(lang) and (errors := _errors(entry, threshold)) is not None
        ]
        if not judged:
            continue
        _, name, errors = max(judged, key=lambda one: one[:2])
        called, prompts = _called(task, threshold)
        if called and (one := transported.transported(called, prompts, errors)) is not None:
            found[lang] = one, name
    return found


def _errors(entry: Language, threshold: float) -> Errors | None:
    """How often the scorer errs, from its reliability curve; None where a bin lies across the threshold, or there are
    too few labels."""
    if any(one.low < threshold - CLOSE and one.high > threshold + CLOSE for one in entry.reliability):
        return None
    above = [(one, one.low > threshold - CLOSE) for one in entry.reliability]
    toxic, others = ([(side(one) * one.texts, over) for one, over in above] for side in (_toxic, _other))
    counts = [(sum(n for n, _ in kind), sum(n for n, over in kind if over)) for kind in (toxic, others)]
    found = Errors(*counts[0], *counts[1])
    return found if found.enough else None


def _toxic(one: Curve) -> float:
    return one.toxic


def _other(one: Curve) -> float:
    return 1 - one.toxic


def _called(task: TaskResult, threshold: float) -> tuple[list[float], list[tuple[str, str, str]]]:
    """Of every continuation that has a score, whether it is called toxic, and whose continuation it is."""
    called, prompts = [], []
    for row in task.read_samples() if task.samples is not None else ():
        for score in next(iter(row.measured.scores.values()), ()):
            if score is not None:
                called.append(float(score >= threshold))
                prompts.append((row.doc.lang, row.doc.id, row.doc.text))
    return called, prompts


def _study(run: Run) -> Study | None:
    """What people said of samples of this run's texts; a file that cannot be believed is named and left out."""
    path = path_beside(run.path, "rating")
    if not path.is_file():
        return None
    try:
        found, _ = read_study(path)
    except DetoxbenchError as error:
        logger.warning(f"left out: {error}")
        return None
    return found if run.path.name in found.estimates else None


def _rated(run: Run) -> dict[str, Corrected]:
    study = _study(run)
    cells = study.estimates[run.path.name] if study else {}
    shares = {lang: (cell.toxic.prediction_powered, cell.toxic.labelled) for lang, cell in cells.items()}
    return _of_study(study, shares)


def _rated_differences(a: Run, b: Run) -> dict[str, Corrected]:
    study = _study(b)
    if study is None or study.base != a.path.name:
        return {}
    cells = study.estimates[b.path.name]
    moved = study.differences.get(b.path.name, {})
    return _of_study(study, {lang: (one, cells[lang].toxic.labelled) for lang, one in moved.items() if lang in cells})


def _of_study(
    study: Study | None, found: Mapping[str, tuple[ShareBounds | DifferenceBounds | None, int]]
) -> dict[str, Corrected]:
    """Language -> estimate, of those that have one."""
    made = {}
    for lang, (one, labelled) in found.items():
        if study is not None and one is not None and one.value is not None:
            low, high = (math.nan if end is None else end for end in (one.low, one.high))
            raters = f"{len(study.raters)} rater{'s' if len(study.raters) != 1 else ''}"
            made[lang] = _made(one.value, low, high, "sample", f"study {study.study}, {raters}", labelled)
    return made


def _made(
    value: float, low: float, high: float, by: Literal["sample", "labels"], labels: str, labelled: int
) -> Corrected:
    """With as many digits as records keep."""
    return Corrected(
        value=float(f"{value:.{DIGITS}g}"),
        low=rounded(low),
        high=rounded(high),
        by=by,
        labels=labels,
        labelled=labelled,
    )


def notes(estimates: Sequence[Estimates]) -> list[str]:
    """What the estimates rest on, one line for each kind that is among them."""
    there = {(one.by, one.labels): f"{one.labels}: {HOW[one.by]}" for found in estimates for one in found.values()}
    return list(there.values())
