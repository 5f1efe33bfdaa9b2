"""The regression gate: is the candidate worse than the baseline by more than is allowed, beyond chance?

The null hypothesis of a test is that the worsening is at most the margin. The baseline is moved by the margin
(``+0.02`` to all its values, or times ``1.1``) and the candidate compared with it, paired by prompt, by the one-sided
sign-flip test that ``compare`` uses too; its p-values are exact far out in the tail, so that one ruined cell among
hundreds of tests is seen. All tests of a check (metrics, languages, macro-averages) are corrected together
(Benjamini-Hochberg), so that a candidate without any regression is stopped in at most 5% of the checks; where prompts
have groups (an axis, a harm, a column), these are tested too and corrected among themselves, both at 2.5%. The same in
terms of bounds: a test that fails has a lower confidence bound, one-sided at the corrected level, above the margin
(Benjamini and Yekutieli 2005).

A test that does not fail has not passed by that: few prompts prove nothing. It passes if a worsening beyond the margin
of ``RESOLUTION`` is ruled out, by its one-sided 95% bound, and is undecided otherwise. What rests on less than the
baseline does is never a pass (``core.coverage``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..core.coverage import COVERAGE_MARGIN, Coverage, coverage, incomparable
from ..core.errors import DetoxbenchError
from ..core.metric_names import metric_of
from ..core.metrics import METRICS
from ..core.results import Run
from ..core.statistics import Difference, benjamini_hochberg, paired_macro_difference
from ..core.validation import believed
from . import prompt_groups
from .boards import board_of, comparable
from .compare import MACRO, number, ratios, total_coverage
from .findings import FAILED, LEVEL, PASSED, RESOLUTION, UNDECIDED, Check, Finding, WorstPrompt
from .margins import Margin
from .pairing import Section, sections

__all__ = ["LEVEL", "Check", "Finding", "check", "worsening"]

WORST = 3
"""Prompts named of a test that failed."""

Group = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Numerators and denominators [prompts] of the moved baseline, then of the candidate."""


@dataclass(frozen=True)
class _Test:
    """A test before the correction: one group a language, and what each side rests on in each."""

    run: str
    section: Section
    places: tuple[int, ...]
    language: str
    margin: Margin
    groups: tuple[Group, ...]
    values: tuple[float, float]
    p: float
    difference: Difference
    covered: tuple[tuple[Coverage, Coverage], ...]
    group: str


def check(
    baseline: Mapping[str, Run],
    candidate: Mapping[str, Run],
    margins: Sequence[Margin],
    *,
    allow_unpaired: bool = False,
    coverage_margin: float = COVERAGE_MARGIN,
    show_text: bool = False,
) -> Check:
    """Test every run of the baseline against the candidate's run of the same label; one run against one whatever they
    are called.

    Args:
        baseline, candidate: label -> run.
        margins: what to test.
        allow_unpaired: prompts that only one of the two has are left out instead of being an error.
        coverage_margin: largest difference of the shares of continuations that the two rest on.
        show_text: give the worst prompts' text beside their ids.

    Raises:
        DetoxbenchError: if a run's files cannot be believed, runs are not comparable, a run or a prompt of the baseline
            is missing in the candidate, or a metric that was asked for was not measured.
    """
    pairs, new = _matched(baseline, candidate)
    for a, b in pairs:
        believed(a, "the baseline")
        believed(b, "the candidate")
        comparable(board_of(a), board_of(b))
    tests: list[_Test] = []
    of_groups: list[_Test] = []
    unpaired = 0
    for a, b in pairs:
        for section in sections(a, b):
            unpaired += _unpaired(section, allow_unpaired)
            for margin in margins:
                found = _tests(a.label, section, margin)
                if not found and margin.asked:
                    raise DetoxbenchError(
                        f"--metric '{margin.metric}': not measured in '{section.prompt_set}', "
                        f"which has {', '.join(section.metrics)}"
                    )
                tests += found
            for group, part in prompt_groups.parts(section):
                of_groups += [test for margin in margins for test in _tests(a.label, part, margin, group)]
    if not tests:
        raise DetoxbenchError("nothing that is checked was measured in these runs; name a metric with --metric")
    # Tests of groups are corrected among themselves: however many there are, they cost the others a factor of two.
    level = LEVEL / 2 if of_groups else LEVEL
    findings = _findings(tests, level, coverage_margin, show_text)
    # A group finds a regression that its language or the average hides; it is none of the things that must pass.
    findings += [one for one in _findings(of_groups, level, coverage_margin, show_text) if one.regression]
    return Check(tuple(findings), unpaired, tuple(new), len(of_groups))


def _findings(tests: Sequence[_Test], level: float, coverage_margin: float, show_text: bool) -> list[Finding]:
    """Tests that are corrected together, at a level for all of them."""
    if not tests:
        return []
    q, rejected = benjamini_hochberg([test.p for test in tests], level)
    each = level * max(1, int(rejected.sum())) / len(tests)
    return [
        _finding(test, float(q[i]), bool(rejected[i]), each, level / len(tests), coverage_margin, show_text)
        for i, test in enumerate(tests)
    ]


def _matched(baseline: Mapping[str, Run], candidate: Mapping[str, Run]) -> tuple[list[tuple[Run, Run]], list[str]]:
    if len(baseline) == len(candidate) == 1:
        return [(next(iter(baseline.values())), next(iter(candidate.values())))], []
    missing = [label for label in baseline if label not in candidate]
    if missing:
        raise DetoxbenchError(
            f"the candidate has no run of {'; '.join(missing)}; it has {'; '.join(candidate)}: "
            f"measure what is missing, or give single results files"
        )
    return [(run, candidate[label]) for label, run in baseline.items()], [c for c in candidate if c not in baseline]


def _unpaired(section: Section, allowed: bool) -> int:
    counts = [sum(pair) for pair in section.unpaired]
    if any(counts) and not allowed:
        worst = ", ".join(
            f"{lang} {a} only in the baseline and {b} only in the candidate"
            for lang, (a, b) in zip(section.languages, section.unpaired, strict=True)
            if a or b
        )
        raise DetoxbenchError(
            f"prompts of '{section.prompt_set}' are not the same: {worst}; measure all of them (the same --limit), "
            f"or give --allow-unpaired to test those that both have"
        )
    return sum(counts)


def _tests(run: str, section: Section, margin: Margin, group: str = "") -> list[_Test]:
    """One a language, and one of their average where there are several; of a group of prompts, those that have enough
    of them."""
    if margin.metric not in section.metrics:
        return []
    m = section.metrics.index(margin.metric)
    places: list[int] = []
    groups: list[Group] = []
    values: list[tuple[float, float]] = []
    for place, (a, b) in enumerate(zip(section.a, section.b, strict=True)):
        one, other = a[:, m : m + 1], b[:, m : m + 1]
        pair = float(ratios(one, other)[0]), float(ratios(other, one)[0])
        if math.isnan(pair[0]):
            if not group and ((one[1] > 0).any() or (other[1] > 0).any()):
                raise DetoxbenchError(
                    f"'{margin.metric}' of {section.languages[place]}: no prompt has it in both runs; measure it again"
                )
            continue
        places.append(place)
        groups.append((margin.moved(one)[0], one[1, 0], other[0, 0], other[1, 0]))
        values.append(pair)
    rows: list[tuple[str, tuple[int, ...], tuple[Group, ...], tuple[float, float]]] = [
        (section.languages[place], (place,), (arrays,), pair)
        for place, arrays, pair in zip(places, groups, values, strict=True)
        if not group or len(section.prompts[place]) >= prompt_groups.LEAST
    ]
    if len(places) > 1:
        means = (float(np.mean([v[0] for v in values])), float(np.mean([v[1] for v in values])))
        rows.append((MACRO, tuple(places), tuple(groups), means))
    tests = []
    for language, where, arrays, pair in rows:
        found, p = worsening(arrays, margin.sign)
        covered = tuple(
            (coverage(margin.metric, section.columns(0, place)), coverage(margin.metric, section.columns(1, place)))
            for place in where
        )
        tests.append(_Test(run, section, where, language, margin, arrays, pair, p, found, covered, group))
    return tests


def worsening(groups: Sequence[Group], sign: int, *, confidence: float = 1 - 2 * LEVEL) -> tuple[Difference, float]:
    """The difference, and the one-sided p-value that ``sign`` times the candidate exceeds the moved baseline.

    Args:
        groups: one a language; several are averaged with equal weight.
        sign: 1 where higher is worse, -1 where lower is.
        confidence: of the difference's two-sided interval; either of its bounds is one-sided at half of the rest.
    """
    found = paired_macro_difference(groups, confidence=confidence)
    return found, found.p_above if sign > 0 else found.p_below


def _finding(
    test: _Test, q: float, regression: bool, level: float, single: float, coverage_margin: float, show_text: bool
) -> Finding:
    sign = test.margin.sign
    corrected, _ = worsening(test.groups, sign, confidence=1 - 2 * level)
    lost, certain = _lost(test, coverage_margin, single)
    needed, reason, verdict = None, lost, FAILED
    if not (regression or certain):
        needed = _needed(test, level)
        verdict = UNDECIDED if lost or needed is not None else PASSED
    asked = [total_coverage([pair[side] for pair in test.covered]) for side in (0, 1)]
    return Finding(
        run=test.run,
        prompt_set=test.section.prompt_set,
        language=test.language,
        metric=test.margin.metric,
        margin=test.margin.text,
        baseline=number(test.values[0]),
        candidate=number(test.values[1]),
        worsening=number(sign * test.difference.interval.value),
        bound=number(corrected.interval.low if sign > 0 else -corrected.interval.high),
        p=number(test.p),
        q=number(q),
        verdict=verdict,
        regression=verdict == FAILED,
        reason=reason,
        prompts=test.difference.interval.prompts,
        needed=needed,
        samples_baseline=asked[0].usable,
        samples_candidate=asked[1].usable,
        worst=_worst(test, show_text) if verdict == FAILED else (),
        group=test.group,
    )


def _needed(test: _Test, level: float) -> int | None:
    """About how many prompts would decide; None where a worsening by ``RESOLUTION`` is ruled out already.

    It is ruled out by the upper 95% bound, and where no prompt changed at all.
    """
    if all(_unchanged(group, test.margin) for group in test.groups):
        return None
    found = test.difference
    value = test.margin.sign * found.interval.value
    upper = found.interval.high if test.margin.sign > 0 else -found.interval.low
    known = METRICS.get(metric_of(test.margin.metric))
    resolution = RESOLUTION if known is not None and known.bounds == (0.0, 1.0) else abs(test.values[0])
    if upper <= resolution:
        return None
    n, error = found.interval.prompts, found.standard_error
    fewest = math.ceil(-math.log2(level))
    if not math.isfinite(error):
        return max(fewest, n + 1)
    # Either it is far enough below the resolution for its bound to get there, or above the margin for the test to.
    ways = [stats.norm.isf(LEVEL) * error / (resolution - value)] if value < resolution else []
    ways += [stats.norm.isf(level) * error / value] if value > 0 else []
    return max(fewest, n + 1, math.ceil(n * min(ways) ** 2))


def _unchanged(group: Group, margin: Margin) -> bool:
    """Whether all prompts have the same in both runs."""
    moved, d_a, n_b, d_b = group
    return bool((d_a == d_b).all() and np.allclose(margin.factor * n_b + margin.shift * d_b, moved, rtol=1e-12, atol=0))


def _lost(test: _Test, coverage_margin: float, single: float) -> tuple[str, bool]:
    """Why the test rests on other coverage in the two runs, empty if it does not; and whether that is a loss for sure:
    beyond the margin, and beyond chance by a t-test over the prompts at the level of a single one of all tests."""
    for place, (a, b) in zip(test.places, test.covered, strict=True):
        reason = incomparable(a, b, coverage_margin)
        if reason is None:
            continue
        where = "" if test.language != MACRO else f"{test.section.languages[place]} "
        losses = _losses(test, place)
        loss, n = float(losses.mean()), len(losses)
        error = float(losses.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
        p = float(stats.t.sf(loss / error, n - 1)) if error > 0 else float(not (n > 1 and loss > 0))
        return f"{where}{reason}", loss > coverage_margin and p <= single
    return "", False


def _losses(test: _Test, place: int) -> np.ndarray:
    """Of each prompt, the share of continuations that the baseline rests on, less that of the candidate."""
    shares = []
    for side in (0, 1):
        columns = test.section.columns(side, place)
        denominators = columns[test.margin.metric][1]
        share = (denominators > 0).astype(float)
        asked = [columns[name] for name in ("empty_fraction", "failed_fraction") if name in columns]
        if asked and metric_of(test.margin.metric) == test.margin.metric:
            k = np.maximum(asked[0][1], 1)
            share = 1 - sum(numerators for numerators, _ in asked) / k
            if test.margin.metric == "perplexity":
                share = np.minimum(share, denominators / k)
        shares.append(share)
    return shares[0] - shares[1]


def _worst(test: _Test, show_text: bool) -> tuple[WorstPrompt, ...]:
    """The prompts that became worse the most, beyond the margin."""
    m = test.section.metrics.index(test.margin.metric)
    found: list[tuple[float, WorstPrompt]] = []
    for place, (moved, d_a, n_b, d_b) in zip(test.places, test.groups, strict=True):
        both = np.flatnonzero((d_a > 0) & (d_b > 0))
        one = test.section.a[place][0, m]
        for i in both.tolist():
            rise = test.margin.sign * (n_b[i] / d_b[i] - moved[i] / d_a[i])
            if rise > 0:
                lang, name, text, _ = test.section.prompts[place][i]
                values = float(one[i] / d_a[i]), float(n_b[i] / d_b[i])
                found.append((float(rise), WorstPrompt(name, lang, *values, text if show_text else None)))
    found.sort(key=lambda item: (-item[0], item[1].language, item[1].id))
    return tuple(prompt for _, prompt in found[:WORST])
