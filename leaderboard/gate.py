"""The regression gate: is the candidate worse than the baseline by more than is allowed, beyond chance?

The null hypothesis of a test is that the worsening is at most the margin. The baseline is moved by the margin
(``+0.02`` to all its values, or times ``1.1``) and the candidate compared with it, paired by prompt; the p-value is
one-sided. All tests of a check (metrics, languages, macro-averages) are corrected together (Benjamini-Hochberg), so
that a candidate without any regression is stopped in at most 5% of the checks. The same in terms of bounds: a test that
fails has a lower confidence bound, one-sided at the corrected level, above the margin (Benjamini and Yekutieli 2005).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy import stats

from ..core.constants import BOOTSTRAP_SEED, RESAMPLES
from ..core.errors import DetoxbenchError
from ..core.results import Run
from ..core.statistics import Difference, benjamini_hochberg, paired_macro_differences
from .boards import board_of, comparable
from .compare import MACRO, number, ratios
from .margins import Margin
from .pairing import Section, sections

LEVEL = 0.05


@dataclass(frozen=True)
class Finding:
    """One test; a number is None where it does not exist.

    Args:
        run: label of the baseline's run.
        prompt_set, language, metric: of what; ``language`` is ``macro`` for the average over languages.
        margin: as the user wrote it.
        baseline, candidate: values on the prompts that both measured.
        worsening: how much worse the candidate is than the margin allows, in the metric's unit; negative if within it.
        bound: lower bound of ``worsening``, one-sided, at the corrected level.
        p, q: one-sided p-value, and the same corrected for all tests of the check.
        regression: the test fails.
        prompts: that both measured.
    """

    run: str
    prompt_set: str
    language: str
    metric: str
    margin: str
    baseline: float | None
    candidate: float | None
    worsening: float | None
    bound: float | None
    p: float | None
    q: float | None
    regression: bool
    prompts: int


@dataclass(frozen=True)
class Check:
    """All tests of a check.

    Args:
        unpaired: prompts that only one side has, where this was allowed.
        new: labels of candidates without a baseline, which were not tested.
    """

    findings: tuple[Finding, ...]
    unpaired: int
    new: tuple[str, ...]

    @property
    def regressions(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.regression)

    def as_json(self) -> dict[str, object]:
        """Plain values for ``json.dumps``."""
        return {"regressions": len(self.regressions), "level": LEVEL, **asdict(self)}


@dataclass(frozen=True)
class _Test:
    """A test before the correction: ``groups`` are of the moved baseline and the candidate, for one metric."""

    run: str
    section: Section
    language: str
    margin: Margin
    groups: list[tuple[np.ndarray, ...]]
    values: tuple[float, float]
    p: float
    difference: Difference


def check(
    baseline: Mapping[str, Run],
    candidate: Mapping[str, Run],
    margins: Sequence[Margin],
    *,
    allow_unpaired: bool = False,
    skip_unmeasured: bool = False,
) -> Check:
    """Test every run of the baseline against the candidate's run of the same label; one run against one whatever they
    are called.

    Args:
        baseline, candidate: label -> run.
        margins: what to test.
        allow_unpaired: prompts that only one of the two has are left out instead of being an error.
        skip_unmeasured: so are metrics that neither has measured.

    Raises:
        DetoxbenchError: if runs are not comparable, a run or a prompt of the baseline is missing in the candidate, or
            a metric was not measured.
    """
    pairs, new = _matched(baseline, candidate)
    for a, b in pairs:
        comparable(board_of(a), board_of(b))
    tests, unpaired = [], 0
    for a, b in pairs:
        for section in sections(a, b):
            unpaired += _unpaired(section, allow_unpaired)
            for margin in margins:
                found = _tests(a.label, section, margin)
                if not found and not skip_unmeasured:
                    raise DetoxbenchError(
                        f"--metric '{margin.metric}': not measured in '{section.prompt_set}', "
                        f"which has {', '.join(section.metrics)}"
                    )
                tests += found
    if not tests:
        raise DetoxbenchError("nothing that is checked was measured in these runs; name a metric with --metric")
    q, rejected = benjamini_hochberg([test.p for test in tests], LEVEL)
    level = LEVEL * max(1, int(rejected.sum())) / len(tests)
    findings = [_finding(t, float(q[i]), bool(rejected[i]), level) for i, t in enumerate(tests)]
    return Check(tuple(findings), unpaired, tuple(new))


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


def _tests(run: str, section: Section, margin: Margin) -> list[_Test]:
    if margin.metric not in section.metrics:
        return []
    m = section.metrics.index(margin.metric)
    groups, values = [], []
    for language, a, b in zip(section.languages, section.a, section.b, strict=True):
        one, other = a[:, m : m + 1], b[:, m : m + 1]
        pair = float(ratios(one, other)[0]), float(ratios(other, one)[0])
        if math.isnan(pair[0]):
            if (one[1] > 0).any() or (other[1] > 0).any():
                raise DetoxbenchError(
                    f"'{margin.metric}' of {language}: no prompt has it in both runs; measure it again"
                )
            continue
        groups.append((language, (margin.moved(one), one[1], other[0], other[1])))
        values.append(pair)
    rows = [(language, [group], pair) for (language, group), pair in zip(groups, values, strict=True)]
    if len(rows) > 1:
        means = (float(np.mean([v[0] for v in values])), float(np.mean([v[1] for v in values])))
        rows.append((MACRO, [group for _, group in groups], means))
    tests = []
    for language, arrays, pair in rows:
        (found,), (p,) = worsenings(arrays, margin.sign)
        tests.append(_Test(run, section, language, margin, arrays, pair, p, found))
    return tests


def worsenings(
    groups: Sequence[tuple[np.ndarray, ...]],
    sign: int,
    *,
    confidence: float = 1 - 2 * LEVEL,
    resamples: int = RESAMPLES,
    seed: int = BOOTSTRAP_SEED,
) -> tuple[list[Difference], list[float]]:
    """Differences and one-sided p-values that ``sign`` times the candidate exceeds the moved baseline, [metrics].

    The bootstrap's tails are too short for few prompts, and the corrected level is far out in them; so the p-value is
    never less than that of the t-test with the bootstrap's standard error.

    Args:
        groups: for each language numerators and denominators of the moved baseline and of the candidate, each
            [metrics, prompts].
        sign: 1 where higher is worse, -1 where lower is.
    """
    found = paired_macro_differences(groups, confidence=confidence, resamples=resamples, seed=seed)
    return found, [_one_sided(difference, sign, len(groups)) for difference in found]


def _one_sided(difference: Difference, sign: int, groups: int) -> float:
    value, error = sign * difference.interval.value, difference.standard_error
    if math.isnan(value):
        return math.nan
    half = difference.p_value / 2
    p = half if value > 0 else 1 - half
    if error > 0:
        p = max(
            p, float(stats.t.sf(value / _widened(error, difference.interval.prompts), _freedom(difference, groups)))
        )
    return p


def _widened(error: float, prompts: int) -> float:
    """The bootstrap's standard error has the number of prompts where the unbiased one has one less."""
    return error * math.sqrt(prompts / max(1, prompts - 1))


def _freedom(difference: Difference, groups: int) -> int:
    return max(1, difference.interval.prompts - groups)


def _finding(test: _Test, q: float, regression: bool, level: float) -> Finding:
    sign, error = test.margin.sign, test.difference.standard_error
    (found,), _ = worsenings(test.groups, sign, confidence=1 - 2 * level)
    value = sign * found.interval.value
    bound = min(sign * found.interval.low, sign * found.interval.high)
    if error > 0:
        reach = stats.t.isf(level, _freedom(found, len(test.groups))) * _widened(error, found.interval.prompts)
        bound = min(bound, value - float(reach))
    return Finding(
        run=test.run,
        prompt_set=test.section.prompt_set,
        language=test.language,
        metric=test.margin.metric,
        margin=test.margin.text,
        baseline=number(test.values[0]),
        candidate=number(test.values[1]),
        worsening=number(value),
        bound=number(bound),
        p=number(test.p),
        q=number(q),
        regression=regression,
        prompts=found.interval.prompts,
    )
