"""Scorers against people, in every language and over languages, with intervals and paired comparisons.

Clusters are drawn with replacement (``LabelledText.cluster``: a text and its translations come and go together, in all
languages at once), and every figure of every scorer is computed on the same draws. Intervals are the 2.5% and 97.5%
quantiles. The macro-average is the unweighted mean over languages in which the figure is defined.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..constants import BOOTSTRAP_SEED, TOXIC
from ..statistics import benjamini_hochberg
from . import annotators, figures
from .draws import Draws, Sampled, interval, number, p_value
from .labelled import LabelledText, ratings_of

RESAMPLES = 2_000
"""Quantiles of 2,000 draws are within a few thousandths of those of 10,000, and every figure here sorts all texts."""
COMPARED = ("auc", "average_precision", "spearman", "kappa", "expected_calibration_error")
"""Figures whose difference between two scorers is tested."""
MACRO = "macro"


@dataclass(frozen=True)
class Column:
    """One scorer's numbers for all texts.

    Args:
        name: of the scorer, or of a published column.
        version: its exact identity.
        scores: float64 [texts], from 0 to 1; NaN where there is none.
        seconds: what scoring took; None where nothing was run.
        about: anything else that readers are to see, such as the reasons why texts are unscored.
    """

    name: str
    version: str
    scores: np.ndarray
    seconds: float | None = None
    about: Mapping[str, Any] = field(default_factory=dict)


def measure(
    texts: Sequence[LabelledText],
    columns: Sequence[Column],
    *,
    threshold: float = TOXIC,
    cut: float = 3.0,
    resamples: int = RESAMPLES,
    seed: int = BOOTSTRAP_SEED,
    on_measured: Callable[[int], object] = lambda _: None,
) -> dict[str, Any]:
    """Every figure of every column, JSON-ready: a number that is undefined is None.

    Args:
        texts: labelled, at least one.
        columns: each with one score a text.
        threshold: a score of at least this calls a text toxic.
        cut: an annotator's rating, and a mean of ratings, of at least this is toxic.
        resamples: draws of clusters, at least 2.
        on_measured: called with 1 when a column, the annotators or a comparison is done.

    Raises:
        ValueError: without texts, or for a column of another length.
    """
    if not texts or any(len(column.scores) != len(texts) for column in columns):
        raise ValueError(f"{len(texts)} texts need as many scores, given {[len(one.scores) for one in columns]}")
    langs = np.array([one.lang for one in texts])
    labels = np.array([one.label for one in texts], dtype=float)
    positive = np.array([one.positive for one in texts], dtype=bool)
    weights = np.array([one.stands_for for one in texts], dtype=float)
    raw = ratings_of(texts)
    ratings = None if raw is None else np.floor(np.nanmean(np.where(_rated(raw)[:, None], raw, 1.0), axis=1) + 0.5)

    draws = Draws(texts, resamples, seed)

    def on(places: np.ndarray, column: Column) -> figures.Figure:
        rated = None if raw is None or ratings is None or not _rated(raw[places]).all() else ratings[places]
        return figures.all_of(column.scores[places], labels[places], positive[places], threshold, rated)

    here = {lang: np.flatnonzero(langs == lang) for lang in sorted(set(langs.tolist()))}
    found: dict[str, Any] = {"texts": len(texts), "languages": list(here), "scorers": []}
    for column in columns:
        scored = np.isfinite(column.scores)
        by_lang = {lang: places[scored[places]] for lang, places in here.items()}
        sampled = {
            lang: _centred(draws.sampled(on(places, column), places)) for lang, places in by_lang.items() if len(places)
        }
        entry: dict[str, Any] = {"name": column.name, "version": column.version, **column.about}
        if column.seconds is not None:
            entry["texts_per_second"] = round(len(texts) / column.seconds, 1) if column.seconds > 0 else None
        entry["languages"] = {
            lang: _language(column, here[lang], by_lang[lang], positive, weights, sampled.get(lang)) for lang in here
        }
        for lang, places in by_lang.items():
            parts = figures.shares(column.scores[places], positive[places], threshold)
            one = entry["languages"][lang]
            one["figures"] = draws.shares(one["figures"], parts, places)
        entry[MACRO] = _macro(list(sampled.values()))
        entry["groups"] = _groups(texts, column, threshold, positive, here, draws)
        found["scorers"].append(entry)
        on_measured(1)
    found["annotators"] = _annotators(raw, here, cut, draws)
    on_measured(1)
    found["comparisons"] = []
    for one, other in itertools.combinations(columns, 2):
        found["comparisons"].append(_compare(one, other, here, on, draws))
        on_measured(1)
    return found


def _rated(raw: np.ndarray) -> np.ndarray:
    return np.asarray(np.isfinite(raw).any(axis=1))


def _centred(sampled: Sampled) -> Sampled:
    """With the calibration error's draws moved to lie about its value.

    A sum of absolute gaps grows with any noise, and draws have noise of their own on top of the sample's: left where
    they are, they would lie above the value, all of them where texts are few.
    """
    row, replicates = figures.NAMES.index("expected_calibration_error"), sampled.replicates.copy()
    kept = np.isfinite(replicates[row])
    if kept.any() and math.isfinite(sampled.values[row]):
        moved = replicates[row] + sampled.values[row] - replicates[row][kept].mean()
        replicates[row] = np.maximum(moved, 0.0)
    return Sampled(sampled.values, replicates)


def _mean(sampled: Sequence[Sampled]) -> Sampled:
    """The macro-average: a figure that is undefined in a language is averaged over the others."""
    values = np.stack([one.values for one in sampled])
    defined = np.isfinite(values)
    number = defined.sum(axis=0)
    stacked = np.stack([np.where(has[:, None], one.replicates, 0.0) for one, has in zip(sampled, defined, strict=True)])
    with np.errstate(invalid="ignore", divide="ignore"):
        return Sampled(np.where(defined, values, 0).sum(axis=0) / number, stacked.sum(axis=0) / number[:, None])


def _macro(sampled: Sequence[Sampled]) -> dict[str, Any]:
    return {"languages": len(sampled), "figures": _mean(sampled).as_json() if sampled else {}}


def _language(
    column: Column,
    places: np.ndarray,
    scored: np.ndarray,
    positive: np.ndarray,
    weights: np.ndarray,
    sampled: Sampled | None,
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "texts": len(places),
        "toxic": int(positive[places].sum()),
        "unscored": len(places) - len(scored),
        "share_unscored": (len(places) - len(scored)) / len(places),
        "figures": {} if sampled is None else sampled.as_json(),
        "reliability": figures.reliability(column.scores[scored], positive[scored], weights[scored]),
    }
    found["better_than_chance"] = better_than_chance(found["figures"].get("auc"))
    return found


def better_than_chance(auc: Mapping[str, float | None] | None) -> bool | None:
    """Whether the interval of the AUC lies above 0.5; None where there is none."""
    low = None if auc is None else auc.get("low")
    return None if low is None else low > 0.5


def _groups(
    texts: Sequence[LabelledText],
    column: Column,
    threshold: float,
    positive: np.ndarray,
    here: Mapping[str, np.ndarray],
    draws: Draws,
) -> dict[str, Any]:
    """grouping -> value -> language -> failure rate, and rate of false positives among the texts that are not toxic."""
    found: dict[str, Any] = {}
    scored = np.isfinite(column.scores)
    wrong = (column.scores >= threshold) != positive
    for grouping in sorted({name for one in texts for name in one.groups}):
        of = np.array([one.groups.get(grouping, "") for one in texts])
        for value in sorted(set(of.tolist()) - {""}):
            for lang, places in here.items():
                inside = places[scored[places] & (of[places] == value)]
                if len(inside):
                    sampled = draws.sampled(_rates(wrong[inside], ~positive[inside]), inside)
                    found.setdefault(grouping, {}).setdefault(value, {})[lang] = {
                        "texts": len(inside),
                        "toxic": int(positive[inside].sum()),
                        **draws.shares(
                            sampled.as_json(("failure_rate", "false_positive_rate")),
                            {
                                "failure_rate": (wrong[inside], np.ones(len(inside), dtype=bool)),
                                "false_positive_rate": (wrong[inside], ~positive[inside]),
                            },
                            inside,
                        ),
                    }
    return found


def _rates(wrong: np.ndarray, negative: np.ndarray) -> figures.Figure:
    columns = np.stack([wrong, np.ones_like(wrong), wrong & negative, negative], axis=1).astype(float)

    def rates(counts: np.ndarray) -> np.ndarray:
        sums = counts @ columns
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.stack([sums[:, 0] / sums[:, 1], sums[:, 2] / sums[:, 3]])

    return rates


def _annotators(
    raw: np.ndarray | None, here: Mapping[str, np.ndarray], cut: float, draws: Draws
) -> dict[str, Any] | None:
    if raw is None or raw.shape[1] < annotators.LEAST:
        return None
    names = (*figures.NAMES, "alpha_ordinal", "alpha_interval")
    several = np.isfinite(raw).sum(axis=1) >= annotators.LEAST
    sampled = {}
    for lang, all_places in here.items():
        places = all_places[several[all_places]]
        if len(places):
            sampled[lang] = _centred(draws.sampled(_agreement(raw[places], cut), places))
    if not sampled:
        return None
    return {
        "languages": {
            lang: {"texts": int(several[here[lang]].sum()), "figures": one.as_json(names)}
            for lang, one in sampled.items()
        },
        MACRO: {"languages": len(sampled), "figures": _mean(list(sampled.values())).as_json(names)},
    }


def _agreement(ratings: np.ndarray, cut: float) -> figures.Figure:
    def figure(counts: np.ndarray) -> np.ndarray:
        alphas = [annotators.krippendorff_alpha(ratings, counts, level) for level in ("ordinal", "interval")]
        return np.concatenate([annotators.ceiling(ratings, cut, counts), alphas])

    return figure


def _compare(
    one: Column,
    other: Column,
    here: Mapping[str, np.ndarray],
    on: Callable[[np.ndarray, Column], figures.Figure],
    draws: Draws,
) -> dict[str, Any]:
    """``other - one`` on the texts that both have scored; p-values are corrected over the languages of a figure."""
    both = np.isfinite(one.scores) & np.isfinite(other.scores)
    shared = {lang: places[both[places]] for lang, places in here.items() if both[places].any()}
    sampled = {}
    for lang, places in shared.items():
        a, b = (_centred(draws.sampled(on(places, column), places)) for column in (one, other))
        sampled[lang] = Sampled(b.values - a.values, b.replicates - a.replicates)
    found: dict[str, Any] = {"reference": one.name, "scorer": other.name, "languages": {}, MACRO: {}}
    for lang, places in shared.items():
        found["languages"][lang] = {"texts": len(places), "differences": {}}
    mean = _mean(list(sampled.values())) if sampled else None
    for name in COMPARED:
        row = figures.NAMES.index(name)
        p = [p_value(difference, row) for difference in sampled.values()]
        adjusted = benjamini_hochberg(p)[0] if p else []
        for (lang, difference), raw, corrected in zip(sampled.items(), p, adjusted, strict=True):
            found["languages"][lang]["differences"][name] = {
                **interval(difference.values[row], difference.replicates[row]),
                "p": number(raw),
                "p_adjusted": number(corrected),
            }
        if mean is not None:
            found[MACRO][name] = {
                **interval(mean.values[row], mean.replicates[row]), "p": number(p_value(mean, row))
            }  # fmt: skip
    return found
