"""The gate's findings as Markdown, for the summary page of a step in GitHub Actions."""

from __future__ import annotations

import html
import re

from ..gate import Check, Finding
from .text import figure, headline, one_line, worst

MOST = 50
"""Rows of a table; GitHub shows a mebibyte a step."""
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|~@:])")


def summary(found: Check | None, error: str | None = None, *, strict: bool = False) -> str:
    """Headline, failures with their worst prompts, and what is undecided; or why nothing could be compared."""
    if found is None:
        return f"## detoxbench check: not comparable\n\n{_text(error or '')}\n"
    lines = [f"## {_text(headline(found, strict=strict))}", ""]
    for title, findings in (("Failed", found.regressions), ("Undecided", found.undecided)):
        if findings:
            lines += [f"### {title}", "", *_table(findings), ""]
    if found.unpaired:
        lines += [f"{found.unpaired} prompts are in one of the two only and were left out.", ""]
    if found.new:
        lines += [f"Not tested, since the baseline has no such run: {', '.join(map(_text, found.new))}", ""]
    return "\n".join(lines)


def _table(findings: tuple[Finding, ...]) -> list[str]:
    lines = [
        "| metric | language | baseline | candidate | let pass | q | prompts | needed | |",
        "| --- | --- | ---: | ---: | --- | ---: | ---: | ---: | --- |",
    ]
    for finding in findings[:MOST]:
        notes = [finding.reason] if finding.reason else []
        notes += [f"worst: {'; '.join(worst(finding))}"] if finding.worst else []
        cells = [
            finding.metric, finding.where, figure(finding.baseline), figure(finding.candidate), finding.margin,
            figure(finding.q), finding.prompts, "" if finding.needed is None else finding.needed, "; ".join(notes),
        ]  # fmt: skip
        lines.append("| " + " | ".join(_text(cell) for cell in cells) + " |")
    if len(findings) > MOST:
        lines.append(f"\n{len(findings) - MOST} more; see the log.")
    return lines


def _text(text: object) -> str:
    """A text of others that is no Markdown and no HTML."""
    return _SPECIAL.sub(r"\\\1", html.escape(one_line(text, 2000), quote=False))
