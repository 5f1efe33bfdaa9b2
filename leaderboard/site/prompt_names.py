"""What a board's prompts are called: by their content where ``leaderboard/published/prompts.json`` knows it, else as
the runs say. A name is for people alone: which runs share a board does not depend on it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path

import pydantic

from ...core.parsing import parse_json
from ...core.prompt_names import file_stem, prompts_name
from ...core.records import TaskRun

FILE = Path(__file__).parents[1] / "published" / "prompts.json"
DIGITS = 12
"""Of a sha256, as it is shown."""


class Known(pydantic.BaseModel):
    """Prompts of a file whose origin is known.

    Args:
        name: for titles.
        note: what they are, in a sentence.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    name: str
    note: str


@cache
def known() -> Mapping[str, Known]:
    """``prompts_sha256`` -> what it is of."""
    content = parse_json(FILE.read_text(encoding="utf-8"))
    return {digest: Known.model_validate(one) for digest, one in content.items()}


def name_of(runs: Sequence[TaskRun]) -> str:
    """One name for the prompts of a board's tasks, at least one: the commonest, of equals the earliest."""
    names = [_name(run) for run in runs]
    return max(dict.fromkeys(names), key=names.count)


def _name(run: TaskRun) -> str:
    found = known().get(run.prompts_sha256)
    return found.name if found else prompts_name(run)


def facts(runs: Collection[TaskRun]) -> list[tuple[str, str]]:
    """Label and value: what the prompts of a file are, where that is known, and what tells the file from others."""
    found = {run.prompts_sha256: run for run in runs if file_stem(run.prompt_set) is not None}
    lines = [("About the prompts", known()[digest].note) for digest in found if digest in known()]
    if len(found) == 1:
        ((digest, run),) = found.items()
        lines.append(("File of the prompts", f"{run.prompt_set}, sha256 of the texts {digest[:DIGITS]}…"))
    return lines
