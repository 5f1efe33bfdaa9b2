"""Strings of others in one line of a terminal or of a build's log, and what the gate found in words."""

from __future__ import annotations

from ..gate import Check, Finding

LONGEST = 500


def one_line(text: object, longest: int = LONGEST) -> str:
    """A text without line ends, control and direction marks, of bounded length, that no log takes for a command.

    GitHub's runner obeys ``::command::`` at the start of a line of the log and ``##[command]`` anywhere in it.
    """
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    shown = shown.replace("::", ": :").replace("##[", "# #[")
    return shown if len(shown) <= longest else f"{shown[:longest]}…"


def headline(found: Check, *, strict: bool = False) -> str:
    """PASS or FAIL, and the counts."""
    failed, undecided, tests = len(found.regressions), len(found.undecided), len(found.findings)
    verdict = "FAIL" if failed or (strict and undecided) else "PASS"
    parts = [f"{failed} failed", f"{undecided} undecided", f"{len(found.passed)} passed"]
    note = " (undecided counts as failed: --strict)" if strict and undecided and not failed else ""
    return f"{verdict}: of {tests} test{'s' * (tests != 1)} {', '.join(parts)}{note}"


def sentence(finding: Finding) -> str:
    """What a test says, in one line: what became of the metric, how sure that is, and on how much it rests."""
    text = (
        f"{finding.metric} of {finding.where}: {figure(finding.baseline)} became {figure(finding.candidate)}, "
        f"let pass is {finding.margin}; "
    )
    rests = f"{finding.prompts} prompts, {finding.samples_baseline} and {finding.samples_candidate} continuations"
    if finding.verdict == "failed":
        text += f"beyond it by {figure(finding.worsening)}, at least {figure(finding.bound)} "
        text += f"(q = {figure(finding.q)}; {rests})"
    elif finding.verdict == "undecided":
        needed = "" if finding.needed is None else f"; about {finding.needed} needed"
        text += f"undecided ({finding.prompts} prompts{needed}; q = {figure(finding.q)})"
    else:
        text += f"passed ({rests})"
    if finding.reason:
        text += f"; {finding.reason}"
    return one_line(text, 4 * LONGEST)


def worst(finding: Finding) -> list[str]:
    """The prompts of a failed test that became worse the most, one line each."""
    return [
        one_line(
            f"{prompt.language} {prompt.id}: {figure(prompt.baseline)} became {figure(prompt.candidate)}"
            + ("" if prompt.text is None else f": {prompt.text}")
        )
        for prompt in finding.worst
    ]


def figure(value: float | None) -> str:
    """Four significant digits, a dash for what is not there."""
    return "–" if value is None else f"{value:.4g}"
