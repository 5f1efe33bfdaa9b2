"""What a check found: records of its tests."""

from __future__ import annotations

from dataclasses import asdict, dataclass

LEVEL = 0.05
"""Share of checks without any regression that are stopped all the same, at most."""
RESOLUTION = 0.25
"""Of a metric between 0 and 1; of others, such as perplexity, a worsening by the baseline's own value."""

PASSED, FAILED, UNDECIDED = "passed", "failed", "undecided"


@dataclass(frozen=True)
class WorstPrompt:
    """A prompt that became worse: ``text`` is None unless it was asked for."""

    id: str
    language: str
    baseline: float
    candidate: float
    text: str | None


@dataclass(frozen=True)
class Finding:
    """One test; a number is None where it does not exist.

    Args:
        run: label of the baseline's run.
        prompt_set, language, metric: of what; ``language`` is ``macro`` for the average over languages.
        group: ``grouping=value`` of the prompts, where it is of a group of them alone; empty for all.
        margin: as the user wrote it.
        baseline, candidate: values on the prompts that both measured.
        worsening: how much worse the candidate is than the margin allows, in the metric's unit; negative if within it.
        bound: lower bound of ``worsening``, one-sided, at the corrected level.
        p, q: one-sided p-value, and the same corrected for all tests of the check.
        verdict: ``passed``, ``failed`` or ``undecided``.
        regression: the verdict is ``failed``.
        reason: in words, where the verdict is not a matter of the test alone.
        prompts: that both measured.
        needed: about as many prompts as would decide, where it is undecided.
        samples_baseline, samples_candidate: continuations that the values rest on.
        worst: prompts that became worse the most, where it failed.
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
    verdict: str
    regression: bool
    reason: str
    prompts: int
    needed: int | None
    samples_baseline: int
    samples_candidate: int
    worst: tuple[WorstPrompt, ...] = ()
    group: str = ""

    @property
    def where(self) -> str:
        """Language, and group if it is of one."""
        return f"{self.language}, {self.group}" if self.group else self.language


@dataclass(frozen=True)
class Check:
    """All tests of a check.

    Args:
        unpaired: prompts that only one side has, where this was allowed.
        new: labels of candidates without a baseline, which were not tested.
        groups_tested: tests of groups of prompts, of which ``findings`` holds those that failed.
    """

    findings: tuple[Finding, ...]
    unpaired: int
    new: tuple[str, ...]
    groups_tested: int = 0

    @property
    def regressions(self) -> tuple[Finding, ...]:
        return self._of(FAILED)

    @property
    def undecided(self) -> tuple[Finding, ...]:
        return self._of(UNDECIDED)

    @property
    def passed(self) -> tuple[Finding, ...]:
        return self._of(PASSED)

    def _of(self, verdict: str) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.verdict == verdict)

    def as_json(self) -> dict[str, object]:
        """Plain values for ``json.dumps``."""
        counts = {"regressions": len(self.regressions), "undecided": len(self.undecided)}
        return {**counts, "level": LEVEL, "resolution": RESOLUTION, **asdict(self)}
