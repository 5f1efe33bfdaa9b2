"""Strings of others in one line of a terminal or of a build's log."""

from __future__ import annotations

from ..gate import Finding

LONGEST = 500


def one_line(text: object, longest: int = LONGEST) -> str:
    """A text without line ends, control and direction marks, of bounded length, that no log takes for a command.

    GitHub's runner obeys ``::command::`` at the start of a line of the log and ``##[command]`` anywhere in it.
    """
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    shown = shown.replace("::", ": :").replace("##[", "# #[")
    return shown if len(shown) <= longest else f"{shown[:longest]}…"


def sentence(finding: Finding) -> str:
    """What a failed test says, in one line."""
    return one_line(
        f"{finding.metric} of {finding.language}: {figure(finding.baseline)} became {figure(finding.candidate)}, "
        f"let pass is {finding.margin}; beyond it by {figure(finding.worsening)}, at least {figure(finding.bound)} "
        f"(q = {figure(finding.q)}, {finding.prompts} prompts)",
        4 * LONGEST,
    )


def figure(value: float | None) -> str:
    """Four significant digits, a dash for what is not there."""
    return "–" if value is None else f"{value:.4g}"
