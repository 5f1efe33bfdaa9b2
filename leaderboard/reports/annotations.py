"""The gate's findings as workflow commands of GitHub Actions, which show them on the pull request."""

from __future__ import annotations

from ..gate import Check
from .text import one_line, sentence

MOST = 10
"""GitHub shows ten errors a step."""


def annotate(found: Check) -> list[str]:
    """One line a regression; the last one counts those that are too many to be shown."""
    failed = found.regressions
    kept = failed if len(failed) <= MOST else failed[: MOST - 1]
    lines = [annotation(f"Regression: {f.metric}, {f.language}", f"{one_line(f.run)}: {sentence(f)}") for f in kept]
    if len(kept) < len(failed):
        lines.append(annotation("More regressions", f"{len(failed) - len(kept)} more; see the table in the log"))
    return lines


def annotation(title: str, message: str) -> str:
    """``::error title=…::…`` on one line, escaped as actions/toolkit does (``packages/core/src/command.ts``)."""
    return f"::error title={_property(one_line(title))}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
