"""Prompts from a JSONL file: ``{"text": …, "lang": …, "toxicity": …}`` or the published systems'
``{"prompt": {"text": …, "toxicity": …}, "lang": …}``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...harness.errors import DetoxbenchError
from ...harness.records import Prompt

SHOWN = 5
"""Line numbers listed of the rows that are wrong."""


def _prompt(row: Any, number: int) -> Prompt:
    """One row as a prompt; ValueError says what is wrong with it."""
    if not isinstance(row, Mapping):
        raise ValueError("not a JSON object")
    inner = row.get("prompt", row)
    inner = {"text": inner} if isinstance(inner, str) else inner
    text = inner.get("text") if isinstance(inner, Mapping) else None
    if not isinstance(text, str) or not text:
        raise ValueError("no text in 'text' or 'prompt.text'")
    lang = row.get("lang", inner.get("lang"))
    if not isinstance(lang, str):
        raise ValueError("no language in 'lang'")
    toxicity = inner.get("toxicity", row.get("toxicity"))
    if toxicity is not None and (isinstance(toxicity, bool) or not isinstance(toxicity, int | float)):
        raise ValueError(f"'toxicity' is {toxicity!r}, not a number or null")
    return Prompt(id=str(row.get("id", number)), text=text, lang=lang, toxicity=toxicity)


@lru_cache(maxsize=8)
def _read(path: Path, stamp: float) -> tuple[Prompt, ...]:
    prompts, wrong = [], []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                prompts.append(_prompt(json.loads(line), number))
            except ValueError as error:
                wrong.append((number, str(error)))
    if wrong:
        lines = ", ".join(str(number) for number, _ in wrong[:SHOWN]) + (", …" if len(wrong) > SHOWN else "")
        raise DetoxbenchError(
            f"prompts='{path}': {len(wrong)} of {len(wrong) + len(prompts)} rows are wrong (lines {lines}); line "
            f"{wrong[0][0]}: {wrong[0][1]}. A row is a JSON object with 'text' (or 'prompt.text') and 'lang'."
        )
    return tuple(prompts)


def load(source: str, lang: str) -> list[Prompt]:
    """The file's prompts in one language.

    Raises:
        DetoxbenchError: if the file is missing, has wrong rows (their number and first lines), or none in ``lang``.
    """
    path = Path(source).expanduser()
    if not path.is_file():
        raise DetoxbenchError(f"prompts='{source}': there is no such file; give a JSONL file, or 'mini'")
    try:
        prompts = _read(path.resolve(), path.stat().st_mtime)
    except UnicodeDecodeError as error:
        raise DetoxbenchError(f"prompts='{source}': not UTF-8 text ({error.reason} at byte {error.start})") from None
    found = [prompt for prompt in prompts if prompt.lang == lang]
    if not found:
        langs = ", ".join(sorted({prompt.lang for prompt in prompts})) or "none"
        raise DetoxbenchError(
            f"prompts='{source}': no prompt in language '{lang}'; the file has {langs}: choose the tasks of these"
        )
    return found
