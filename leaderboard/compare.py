"""Two runs, paired by prompt: what changes per language and in the macro-average, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ..core.constants import CONFIDENCE
from ..core.coverage import COVERAGE_MARGIN, Coverage, coverage, incomparable
from ..core.metric_names import metric_of
from ..core.results import Run
from ..core.statistics import (
    Difference,
    benjamini_hochberg,
    paired_differences,
    paired_macro_difference,
    paired_macro_differences,
)
from ..core.validation import believed
from .boards import board_of, comparable
from .pairing import Section, sections

MACRO = "macro"
RATIOS = ("perplexity",)
"""Metrics that are compared as a ratio too: their scale is the base model's, a few large values rule their means."""


@dataclass(frozen=True)
class Change:
    """One metric of one language, or of the macro-average; a number is None where it could not be measured.

    Args:
        prompt_set, language, metric: of what; ``language`` is ``macro`` for the average over languages.
        a, b: both values, on the prompts that both runs measured.
        change, low, high: b - a with its 95% interval, which holds 0 exactly if p is 0.05 or more; ``method`` and
            ``reason`` say where there is none.
        p: two-sided, of no difference, by the sign-flip test.
        q: p corrected by Benjamini-Hochberg over the languages of the metric; the macro-average's is p.
        significant: q at most 0.05, and both rest on alike coverage.
        minimum_detectable: the true difference that a test of this many prompts finds with 80% power.
        ratio, ratio_low, ratio_high: geometric mean over prompts of b / a, with its interval; only of ``RATIOS``.
        prompts: that both measured.
        samples_a, samples_b: continuations that the values rest on.
        not_comparable: why the two rest on unlike coverage; empty if they do not.
        unpaired: prompts that only one of the two runs has.
    """

    prompt_set: str
    language: str
    metric: str
    a: float | None
    b: float | None
    change: float | None
    low: float | None
    high: float | None
    method: str
    reason: str
    p: float | None
    q: float | None
    significant: bool
    minimum_detectable: float | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    prompts: int
    samples_a: int
    samples_b: int
    not_comparable: str
    unpaired: int


@dataclass(frozen=True)
class Comparison:
    """All changes from run a to run b."""

    a: str
    b: str
    changes: tuple[Change, ...]
    unpaired_a: int
    unpaired_b: int

    def as_json(self) -> dict[str, object]:
        """Plain values for ``json.dumps``."""
        return asdict(self)


def compare(
    a: Run, b: Run, metrics: Sequence[str] | None = None, *, coverage_margin: float = COVERAGE_MARGIN
) -> Comparison:
    """What changes from a to b.

    Args:
        a, b: comparable runs with samples.
        metrics: those wanted; None for all.
        coverage_margin: largest difference of the shares of continuations that the two rest on.

    Raises:
        DetoxbenchError: if a run's files cannot be believed, the runs are not comparable, listing what differs, or have
            no samples.
    """
    comparable(board_of(a), board_of(b))
    for name, run in (("run A", a), ("run B", b)):
        believed(run, name)
    found = sections(a, b)
    only = [sum(pair[side] for section in found for pair in section.unpaired) for side in (0, 1)]
    changes = tuple(change for section in found for change in _changes(section, metrics, coverage_margin))
    return Comparison(a.label, b.label, changes, *only)


def ratios(column: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Values [metrics] of one run on the prompts that both measured: both are [2, metrics, prompts]."""
    measured = (column[1] > 0) & (other[1] > 0)
    numerators, denominators = ((side * measured).sum(axis=-1) for side in column)
    return np.divide(numerators, denominators, out=np.full(len(numerators), np.nan), where=denominators > 0)


def total_coverage(parts: Sequence[Coverage]) -> Coverage:
    """The sum over languages."""
    return Coverage(*(sum(getattr(part, name) for part in parts) for name in Coverage.__dataclass_fields__))


def geometric_ratio(groups: Sequence[Sequence[np.ndarray]]) -> Difference:
    """The mean over groups of the mean over prompts of log(b / a), with its interval.

    Args:
        groups: numerators and denominators of a, then of b, [prompts] each. What either has not measured, or is 0 in
            either, is left out: it has no ratio.
    """
    logs = []
    for n_a, d_a, n_b, d_b in groups:
        both = (d_a > 0) & (d_b > 0) & (n_a > 0) & (n_b > 0)
        one, other = np.log(n_a[both] / d_a[both]), np.log(n_b[both] / d_b[both])
        ones = np.ones(len(one))
        logs.append((one, ones, other, ones))
    return paired_macro_difference(logs)


def _changes(section: Section, wanted: Sequence[str] | None, coverage_margin: float) -> list[Change]:
    keep = [i for i, metric in enumerate(section.metrics) if wanted is None or metric in wanted]
    if not keep:
        return []
    names = [section.metrics[i] for i in keep]
    pairs = [(a[:, keep], b[:, keep]) for a, b in zip(section.a, section.b, strict=True)]
    values = [(ratios(a, b), ratios(b, a)) for a, b in pairs]
    groups = [(a[0], a[1], b[0], b[1]) for a, b in pairs]
    languages = [paired_differences(*group) for group in groups]
    corrected = np.array(
        [benjamini_hochberg([found[m].p_value for found in languages], 1 - CONFIDENCE)[0] for m in range(len(names))]
    )
    covered = [
        [(coverage(name, section.columns(0, place)), coverage(name, section.columns(1, place))) for name in names]
        for place in range(len(section.languages))
    ]
    rows = list(section.languages)
    changes = []
    for m, metric in enumerate(names):
        for i, language in enumerate(rows):
            changes.append(
                _change(
                    (section.prompt_set, language, metric),
                    (float(values[i][0][m]), float(values[i][1][m])),
                    languages[i][m],
                    float(corrected[m, i]),
                    _ratio(metric, [[side[m] for side in groups[i]]]),
                    [covered[i][m]],
                    incomparable(*covered[i][m], coverage_margin) or "",
                    sum(section.unpaired[i]),
                )
            )
    if len(rows) > 1:
        means = [np.mean([pair[side] for pair in values], axis=0) for side in (0, 1)]
        total = sum(map(sum, section.unpaired))
        for m, difference in enumerate(paired_macro_differences(groups)):
            reasons = [(lang, incomparable(*covered[i][m], coverage_margin)) for i, lang in enumerate(rows)]
            changes.append(
                _change(
                    (section.prompt_set, MACRO, names[m]),
                    (float(means[0][m]), float(means[1][m])),
                    difference,
                    difference.p_value,
                    _ratio(names[m], [[side[m] for side in group] for group in groups]),
                    [language[m] for language in covered],
                    "; ".join(f"{lang} {reason}" for lang, reason in reasons if reason),
                    total,
                )
            )
    order = {metric: place for place, metric in enumerate(names)}
    return sorted(changes, key=lambda change: order[change.metric])


def _ratio(metric: str, groups: Sequence[Sequence[np.ndarray]]) -> tuple[float | None, float | None, float | None]:
    if metric_of(metric) not in RATIOS:
        return None, None, None
    found = geometric_ratio(groups).interval
    value, low, high = (number(math.exp(x)) if math.isfinite(x) else None for x in (found.value, found.low, found.high))
    return value, low, high


def _change(
    what: tuple[str, str, str],
    values: tuple[float, float],
    difference: Difference,
    q: float,
    ratio: tuple[float | None, float | None, float | None],
    covered: Sequence[tuple[Coverage, Coverage]],
    not_comparable: str,
    unpaired: int,
) -> Change:
    found = difference.interval
    sides = [total_coverage([pair[side] for pair in covered]) for side in (0, 1)]
    prompt_set, language, metric = what
    return Change(
        prompt_set=prompt_set,
        language=language,
        metric=metric,
        a=number(values[0]),
        b=number(values[1]),
        change=number(found.value),
        low=number(found.low),
        high=number(found.high),
        method=found.method,
        reason=found.reason,
        p=number(difference.p_value),
        q=number(q),
        significant=q <= 1 - CONFIDENCE and not not_comparable,
        minimum_detectable=number(difference.minimum_detectable),
        ratio=ratio[0],
        ratio_low=ratio[1],
        ratio_high=ratio[2],
        prompts=found.prompts,
        samples_a=sides[0].usable,
        samples_b=sides[1].usable,
        not_comparable=not_comparable,
        unpaired=unpaired,
    )


def number(value: float) -> float | None:
    """None for what is not finite, which JSON cannot hold."""
    return float(value) if math.isfinite(value) else None
