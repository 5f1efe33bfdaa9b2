"""The commands that the documents show, as a reader would type them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SEQUENCES = ("README.md", *(f"docs/tutorials/{name}.md" for name in ("measure", "method", "language", "study")))
"""Documents whose commands run as typed, in order, in a fresh folder."""
_TITLED = re.compile(r"```\w+ title=\"([^\"]+)\"\n(.*?)```", re.DOTALL)
_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_STARTS = ("lm_eval ", "lm-eval ", "detoxbench ", "pip ")


@dataclass(frozen=True)
class Command:
    """One command.

    Args:
        document: path from the root.
        line: its number there.
        text: continuation lines joined, comments off.
    """

    document: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}: {self.text}"


def documents() -> list[str]:
    """Every document with commands in it, from the root."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/README.md")]
    found += [*ROOT.glob("methods/*/README.md"), *ROOT.glob("tasks/*/README.md"), ROOT / "core/ngram/README.md"]
    return sorted({str(path.relative_to(ROOT)) for path in found})


def files(document: str) -> dict[str, str]:
    """Files that a document shows whole: name -> content."""
    return dict(_TITLED.findall((ROOT / document).read_text(encoding="utf-8")))


def commands(document: str) -> list[Command]:
    """Those in blocks: lines that are indented by four spaces, or within a fence."""
    return list(_commands(document))


def _commands(document: str) -> Iterator[Command]:
    text = (ROOT / document).read_text(encoding="utf-8")
    fenced = {text.count("\n", 0, match.start()) + offset
              for match in _FENCE.finditer(text) for offset in range(match[0].count("\n") + 1)}  # fmt: skip
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        first = at
        line = lines[at]
        at += 1
        inside = first in fenced or line.startswith("    ")
        stripped = line.strip()
        if not inside or not stripped.startswith(_STARTS):
            continue
        while stripped.endswith("\\") and at < len(lines):
            stripped = f"{stripped[:-1].rstrip()} {lines[at].strip()}"
            at += 1
        yield Command(document, first + 1, _without_comment(stripped))


def _without_comment(text: str) -> str:
    quoted = ""
    for at, sign in enumerate(text):
        if sign in "'\"" and quoted in ("", sign):
            quoted = "" if quoted else sign
        elif sign == "#" and not quoted and text[at - 1] == " ":
            return text[:at].rstrip()
    return text.rstrip()
