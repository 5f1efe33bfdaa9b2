"""Two runs, paired by prompt: what changes per language and in the macro-average, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ..core.constants import CONFIDENCE
from ..core.results import Run
from ..core.statistics import Difference, benjamini_hochberg, paired_differences, paired_macro_differences
from .boards import board_of, comparable
from .pairing import Section, sections

MACRO = "macro"


@dataclass(frozen=True)
class Change:
    """One metric of one language, or of the macro-average; a number is None where it could not be measured.

    Args:
        prompt_set, language, metric: of what; ``language`` is ``macro`` for the average over languages.
        a, b: both values, on the prompts that both runs measured.
        change, low, high: b - a with its 95% paired interval (BCa; ``method`` says where not).
        p: two-sided, of no difference.
        q: p corrected by Benjamini-Hochberg over the languages of the metric; the macro-average's is p.
        significant: q at most 0.05.
        minimum_detectable: the true difference that a test of this many prompts finds with 80% power.
        prompts: that both measured.
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
    p: float | None
    q: float | None
    significant: bool
    minimum_detectable: float | None
    prompts: int
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


def compare(a: Run, b: Run, metrics: Sequence[str] | None = None) -> Comparison:
    """What changes from a to b.

    Args:
        a, b: comparable runs with samples.
        metrics: those wanted; None for all.

    Raises:
        DetoxbenchError: if the runs are not comparable, listing what differs, or have no samples.
    """
    comparable(board_of(a), board_of(b))
    found = sections(a, b)
    only = [sum(pair[side] for section in found for pair in section.unpaired) for side in (0, 1)]
    changes = tuple(change for section in found for change in _changes(section, metrics))
    return Comparison(a.label, b.label, changes, *only)


def ratios(column: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Values [metrics] of one run on the prompts that both measured: both are [2, metrics, prompts]."""
    measured = (column[1] > 0) & (other[1] > 0)
    numerators, denominators = ((side * measured).sum(axis=-1) for side in column)
    return np.divide(numerators, denominators, out=np.full(len(numerators), np.nan), where=denominators > 0)


def _changes(section: Section, wanted: Sequence[str] | None) -> list[Change]:
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
    rows = list(section.languages)
    changes = []
    for m, metric in enumerate(names):
        for i, language in enumerate(rows):
            numbers = float(values[i][0][m]), float(values[i][1][m])
            q, unpaired = float(corrected[m, i]), sum(section.unpaired[i])
            changes.append(_change(section, language, metric, numbers, languages[i][m], q, unpaired))
    if len(rows) > 1:
        means = [np.mean([pair[side] for pair in values], axis=0) for side in (0, 1)]
        total = sum(map(sum, section.unpaired))
        for m, difference in enumerate(paired_macro_differences(groups)):
            numbers = float(means[0][m]), float(means[1][m])
            changes.append(_change(section, MACRO, names[m], numbers, difference, difference.p_value, total))
    order = {metric: place for place, metric in enumerate(names)}
    return sorted(changes, key=lambda change: order[change.metric])


def _change(
    section: Section,
    language: str,
    metric: str,
    values: tuple[float, float],
    difference: Difference,
    q: float,
    unpaired: int,
) -> Change:
    found = difference.interval
    return Change(
        prompt_set=section.prompt_set,
        language=language,
        metric=metric,
        a=number(values[0]),
        b=number(values[1]),
        change=number(found.value),
        low=number(found.low),
        high=number(found.high),
        method=found.method,
        p=number(difference.p_value),
        q=number(q),
        significant=q <= 1 - CONFIDENCE,
        minimum_detectable=number(difference.minimum_detectable),
        prompts=found.prompts,
        unpaired=unpaired,
    )


def number(value: float) -> float | None:
    """None for what is not finite, which JSON cannot hold."""
    return float(value) if math.isfinite(value) else None
