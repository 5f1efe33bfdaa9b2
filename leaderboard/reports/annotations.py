"""The gate's findings as workflow commands of GitHub Actions, which show them on the pull request."""

from __future__ import annotations

from ..gate import FAILED, UNDECIDED, Check
from .text import one_line, sentence

MOST = 10
"""GitHub shows ten errors a step."""


WORDS = {FAILED: "Regression", UNDECIDED: "Undecided"}


def annotate(found: Check, *, strict: bool = False) -> list[str]:
    """One line a failed test, and with ``strict`` one an undecided test; the last counts those that are too many."""
    failed = found.regressions + (found.undecided if strict else ())
    kept = failed if len(failed) <= MOST else failed[: MOST - 1]
    lines = [
        annotation(f"{WORDS[f.verdict]}: {f.metric}, {f.where}", f"{one_line(f.run)}: {sentence(f)}") for f in kept
    ]
    if len(kept) < len(failed):
        lines.append(annotation("More failures", f"{len(failed) - len(kept)} more; see the log"))
    return lines


def annotation(title: str, message: str) -> str:
    """``::error title=…::…`` on one line, escaped as actions/toolkit does (``packages/core/src/command.ts``)."""
    return f"::error title={_property(one_line(title))}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
