"""The embedded prompts: beginnings of sentences that are not in the corpus of the embedded model."""

from __future__ import annotations

import json

from ...harness import mini
from ...harness.errors import unknown
from ...harness.records import Prompt


def languages() -> list[str]:
    return sorted(path.stem for path in mini.PROMPTS.glob("*.jsonl"))


def load(lang: str) -> list[Prompt]:
    """The prompts of one language, in file order.

    Raises:
        DetoxbenchError: for a language that has none.
    """
    path = mini.PROMPTS / f"{lang}.jsonl"
    if not path.is_file():
        raise unknown("language of the mini prompts", lang, languages())
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Prompt(id=f"{lang}-{number}", text=row["prompt"]["text"], lang=lang, toxicity=row["prompt"]["toxicity"])
        for number, row in enumerate(rows)
    ]
