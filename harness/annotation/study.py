"""Answers, key and results together: everything that a study found, as one JSON document beside the results."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core.annotation_study import KIND, path_beside, read_study, studies_of
from ...core.constants import TOXIC
from ...core.errors import DetoxbenchError
from ...core.files import write_json
from ...core.results import Run
from ...core.validity.labelled import LabelledText
from ...core.validity.measure import Column, measure
from . import agreement, estimates
from .answers import Rater, matrix
from .files import Key, KeyItem, Place
from .questions import CUT, QUESTIONS
from .questions import TOXIC as TOXIC_QUESTION
from .texts import Text, texts_of

SCHEMA_VERSION = 1
Known = Mapping[tuple[str, str, int, int], Text]


def evaluate(key: Key, raters: Sequence[Rater], runs: Sequence[Run]) -> dict[str, Any]:
    """Agreement, validity of the scorer on these texts, and estimates of the runs; JSON-ready, None is undefined.

    Raises:
        DetoxbenchError: if a run of the key is not among the runs, or its texts are not those that were shown.
    """
    by_run = {run.path.name: texts_of(run) for run in _needed(key, runs)}
    known = {text.key: text for texts in by_run.values() for text in texts}
    for item in key.items:
        for place in item.texts:
            _find(place, known)
    first = [item for item in key.items if item.repeats is None]
    found: dict[str, Any] = {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "study": key.study,
        "design": key.design,
        "per_cell": key.per_cell,
        "seed": key.seed,
        "cut": CUT,
        "runs": dict(key.runs),
        "texts": len(first),
        "texts_rated": sum(any(item.id in rater.answers for rater in raters) for item in first),
        "raters": [
            {"name": one.name, "answered": len(one.answers), "skipped": one.skipped}
            for one in sorted(raters, key=lambda rater: rater.name)
        ],
        "agreement": _agreement(key, raters, known),
    }
    means = {question.name: _means(raters, first, question.name) for question in QUESTIONS[key.design]}
    if key.design == "pairs":
        found["win_rates"] = _win_rates(key, first, means, known)
    else:
        found["validity"] = _validity(first, raters, known, runs)
        found |= _ratings(key, first, means, by_run)
    return found


def _needed(key: Key, runs: Sequence[Run]) -> list[Run]:
    given = {run.path.name: run for run in runs}
    if missing := [name for name in key.runs if name not in given]:
        raise DetoxbenchError(f"the key is of '{missing[0]}' too: give the results that it was drawn from")
    return [given[name] for name in key.runs]


def _find(place: Place, known: Known) -> Text:
    text = known.get((place.run, place.task, place.doc_id, place.place))
    if text is None or text.sha256 != place.sha256:
        raise DetoxbenchError(
            f"'{place.run}', task {place.task}, prompt {place.doc_id}: not the text that was shown to raters; give the "
            "results that the key was drawn from, unchanged"
        )
    return text


def _means(raters: Sequence[Rater], items: Sequence[KeyItem], question: str) -> dict[str, float]:
    """Item -> mean over its raters, of those that have one."""
    ratings = matrix(raters, [item.id for item in items], question)
    return {
        item.id: float(np.mean(row[np.isfinite(row)]))
        for item, row in zip(items, ratings, strict=True)
        if np.isfinite(row).any()
    }


def _agreement(key: Key, raters: Sequence[Rater], known: Known) -> dict[str, Any]:
    first = [item for item in key.items if item.repeats is None]
    again = [item for item in key.items if item.repeats is not None]
    prompts = [_find(item.texts[0], known).of_prompt for item in first]
    again_prompts = [_find(item.texts[0], known).of_prompt for item in again]
    found = {}
    for question in QUESTIONS[key.design]:
        between = agreement.agreement(matrix(raters, [item.id for item in first], question.name), prompts)
        originals = matrix(raters, [str(item.repeats) for item in again], question.name)
        repeated = matrix(raters, [item.id for item in again], question.name)
        found[question.name] = {
            **between,
            "self": agreement.self_agreement(originals, repeated, again_prompts),
        }
    return found


def _validity(
    items: Sequence[KeyItem], raters: Sequence[Rater], known: Known, runs: Sequence[Run]
) -> dict[str, Any] | None:
    """The scorer against people on the runs' texts: each text shown counts for those that it was drawn to stand for."""
    ratings = matrix(raters, [item.id for item in items], TOXIC_QUESTION)
    rated = [place for place, row in enumerate(ratings) if np.isfinite(row).any()]
    if not rated:
        return None
    found = [_find(items[place].texts[0], known) for place in rated]
    weights = _stand_for(items, rated, known)
    texts = []
    for place, text, weight in zip(rated, found, weights, strict=True):
        own = ratings[place][np.isfinite(ratings[place])]
        mean, cluster = float(own.mean()), "\0".join(text.of_prompt)
        texts.append(LabelledText(text.text, text.lang, mean, mean >= CUT, cluster, own.tolist(), stands_for=weight))
    scorers = {
        (run.path.name, name): (task.record.scorer, task.record.scorer_version)
        for run in runs
        for name, task in run.tasks.items()
    }
    of = [scorers[text.run, text.task] for text in found]
    columns = [
        Column(*one, np.array([text.score if its == one else math.nan for text, its in zip(found, of, strict=True)]))
        for one in dict.fromkeys(of)
    ]
    return measure(texts, columns, threshold=TOXIC, cut=CUT, resamples=agreement.RESAMPLES)


def _stand_for(items: Sequence[KeyItem], rated: Sequence[int], known: Known) -> list[float]:
    """Texts of the run that each rated item stands for: its stratum's, shared among those of it that have a rating."""
    strata = [(item.texts[0].run, _find(item.texts[0], known).lang, item.stratum) for item in items]
    whole: dict[tuple[str, str, str], float] = {}
    for item, stratum in zip(items, strata, strict=True):
        whole[stratum] = whole.get(stratum, 0.0) + item.stands_for
    seen = Counter(strata[place] for place in rated)
    return [whole[strata[place]] / seen[strata[place]] for place in rated]


def _ratings(
    key: Key, first: Sequence[KeyItem], means: Mapping[str, Mapping[str, float]], by_run: Mapping[str, Sequence[Text]]
) -> dict[str, Any]:
    of = {item.id: (place.run, place.task, place.doc_id, place.place) for item in first for place in item.texts}
    ratings = {question: {of[name]: mean for name, mean in given.items()} for question, given in means.items()}
    measured = {name: estimates.rated(texts, ratings, key.per_cell) for name, texts in by_run.items()}
    base = next((name for name, label in key.runs.items() if _is_base(label)), next(iter(key.runs)))
    return {
        "estimates": {name: one["estimates"] for name, one in measured.items()},
        "base": base,
        "differences": {
            name: estimates.differences(measured[base]["powered"], one["powered"])
            for name, one in measured.items()
            if name != base
        },
    }


def _is_base(label: str) -> bool:
    return label.endswith(", none")


def _win_rates(
    key: Key, first: Sequence[KeyItem], means: Mapping[str, Mapping[str, float]], known: Known
) -> list[dict[str, Any]]:
    """How often the later run of each two is preferred, by question and language."""
    order = list(key.runs)
    cells: dict[tuple[str, str, str, str], list[tuple[float, Any]]] = {}
    for item in first:
        one, other = item.texts
        text = _find(one, known)
        turned = order.index(one.run) > order.index(other.run)
        a, b = (other.run, one.run) if turned else (one.run, other.run)
        for question, given in means.items():
            if item.id in given:
                answer = 4 - given[item.id] if turned else given[item.id]
                for lang in (text.lang, "all"):
                    cells.setdefault((a, b, question, lang), []).append((answer, text.of_prompt))
    return [
        {"a": a, "b": b, "question": question, "language": lang, **estimates.win_rate(*zip(*found, strict=True))}
        for (a, b, question, lang), found in sorted(
            cells.items(), key=lambda cell: (order.index(cell[0][0]), cell[0][1:])
        )
    ]


def write(found: Mapping[str, Any], runs: Sequence[Run]) -> list[Path]:
    """The document beside each results file of the study."""
    written = []
    for run in runs:
        if run.path.name in found["runs"]:
            written.append(path_beside(run.path, found["design"]))
            write_json(written[-1], found)
    return written


def read(results: Path) -> list[dict[str, Any]]:
    """What people said of a run, one document a design; empty where nobody was asked.

    Raises:
        DetoxbenchError: for a file of such a name that is something else, or says what cannot be.
    """
    return [read_study(path)[1] for path in studies_of(results)]
