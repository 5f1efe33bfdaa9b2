"""Shares of toxic texts, mean ratings and win rates of whole runs, from what people said of a sample of their texts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...core.constants import TOXIC
from ...core.statistics import interval as bootstrap_interval
from ...core.statistics.prediction_powered import (
    LEAST,
    Powered,
    difference,
    macro_average,
    prediction_powered,
)
from ...core.statistics.rogan_gladen import rogan_gladen
from .design import strata
from .questions import CUT
from .questions import TOXIC as TOXIC_QUESTION
from .texts import Text, scored

MACRO = "macro"
SCALE = 4.0
"""From the lowest rating, 1, to the highest, 5."""
Ratings = Mapping[tuple[str, str, int, int], float]
"""Text's key -> mean over raters."""
Bounds = dict[str, float | None]


def rated(texts: Sequence[Text], ratings: Mapping[str, Ratings], per_cell: int) -> dict[str, Any]:
    """Estimates of one run, by language and on average over languages.

    Args:
        texts: all of the run.
        ratings: question -> text -> mean rating, of the sample that ``design.draw_ratings`` drew.
        per_cell: as drawn.

    Returns:
        ``estimates``: language -> JSON-ready numbers; ``powered``: language -> the share of toxic texts, for
        differences.
    """
    found: dict[str, Any] = {}
    powered: dict[str, Powered] = {}
    for lang in sorted({text.lang for text in texts}):
        cell = scored([text for text in texts if text.lang == lang])
        parts = strata(cell, max(1, per_cell // (2 * LEAST)))
        of = {text.key: name for name, inside in parts.items() for text in inside}
        found[lang] = {"texts": len(cell)}
        for question, given in ratings.items():
            reason = _too_few(parts, given)
            if reason:
                found[lang][question] = {"reason": reason}
            elif question == TOXIC_QUESTION:
                labels = np.array([_toxic(given.get(text.key, math.nan)) for text in cell])
                powered[lang] = _mean(cell, labels, of, None)
                found[lang][question] = _toxic_share(cell, labels, of, parts, powered[lang])
            else:
                labels = np.array([(given.get(text.key, math.nan) - 1) / SCALE for text in cell])
                mean = _mean(cell, labels, of, 0.0)
                found[lang][question] = {"mean": _as_json(mean, SCALE, 1.0), "labelled": mean.labelled}
    if len(found) > 1 and len(powered) == len(found):
        mean = macro_average(list(powered.values()))
        powered[MACRO] = mean
        found[MACRO] = {
            "texts": mean.texts,
            TOXIC_QUESTION: {"prediction_powered": _as_json(mean), "labelled": mean.labelled},
        }
    return {"estimates": found, "powered": powered}


def _too_few(parts: Mapping[str, Sequence[Text]], given: Ratings) -> str:
    """Why nothing can be estimated; empty where it can."""
    for name, inside in parts.items():
        seen = sum(text.key in given for text in inside)
        if seen < min(LEAST, len(inside)):
            return f"of the {len(inside)} texts with a score of {name} {seen} are rated, at least {LEAST} are needed"
    return "" if parts else "no text has a score"


def _toxic(rating: float) -> float:
    return rating if math.isnan(rating) else float(rating >= CUT)


def _mean(cell: Sequence[Text], labels: np.ndarray, of: Mapping[Any, str], weight: float | None) -> Powered:
    return prediction_powered(
        [text.score for text in cell], [text.of_prompt for text in cell], labels, [of[text.key] for text in cell],
        weight=weight,
    )  # fmt: skip


def _toxic_share(
    cell: Sequence[Text],
    labels: np.ndarray,
    of: Mapping[Any, str],
    parts: Mapping[str, Sequence[Text]],
    powered: Powered,
) -> dict[str, Any]:
    """The prediction-powered share beside the scorer's own, the labels' alone, and the corrected one."""
    called = np.array([text.score >= TOXIC for text in cell], dtype=float)
    seen = np.isfinite(labels)
    number = {
        name: sum(1 for text, has in zip(cell, seen, strict=True) if has and of[text.key] == name) for name in parts
    }
    weights = [len(parts[of[text.key]]) / number[of[text.key]] for text, has in zip(cell, seen, strict=True) if has]
    prompts = [text.of_prompt for text in cell]
    corrected = rogan_gladen(
        called, prompts, called[seen], labels[seen], [p for p, has in zip(prompts, seen, strict=True) if has], weights
    )
    return {
        "labelled": powered.labelled,
        "labelled_toxic": int(labels[seen].sum()),
        "scorer": float(called.mean()),
        "labels": _as_json(_mean(cell, labels, of, 0.0)),
        "prediction_powered": {**_as_json(powered), "weight": powered.weight},
        "rogan_gladen": {
            **{
                name: _number(getattr(corrected, name))
                for name in ("value", "low", "high", "sensitivity", "specificity")
            },
            "reason": corrected.reason,
        },
    }


def differences(base: Mapping[str, Powered], other: Mapping[str, Powered]) -> dict[str, Bounds]:
    """Language -> share of toxic texts of ``other`` minus that of ``base``, paired by prompt."""
    found: dict[str, Bounds] = {}
    for lang in base.keys() & other.keys():
        one = difference(base[lang], other[lang])
        # No difference of two shares is larger, whatever a few labels leave open.
        found[lang] = {
            name: _number(min(max(end, -1.0), 1.0) if math.isfinite(end) else end)
            for name, end in (("value", one.value), ("low", one.low), ("high", one.high))
        }
    return dict(sorted(found.items()))


def win_rate(answers: Sequence[float], prompts: Sequence[Any]) -> dict[str, Any]:
    """How often the second is preferred, ties half; mean over prompts.

    Args:
        answers: from 1 (the first) to 3 (the second), means over raters.
        prompts: [answers].
    """
    by_prompt: dict[Any, list[float]] = {}
    for answer, prompt in zip(answers, prompts, strict=True):
        by_prompt.setdefault(prompt, []).append((answer - 1) / 2)
    found = bootstrap_interval([sum(one) for one in by_prompt.values()], [len(one) for one in by_prompt.values()])
    given = np.asarray(answers)
    return {
        "value": _number(found.value), "low": _number(found.low), "high": _number(found.high), "pairs": len(answers),
        "wins": int((given > 2).sum()), "ties": int((given == 2).sum()), "losses": int((given < 2).sum()),
    }  # fmt: skip


def _as_json(found: Powered, scale: float = 1.0, offset: float = 0.0) -> Bounds:
    low, high = found.bounds()
    cut = [min(max(bound, 0.0), 1.0) if math.isfinite(bound) else bound for bound in (low, high)]
    return {
        name: _number(offset + scale * value)
        for name, value in zip(("value", "low", "high"), (found.value, *cut), strict=True)
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
