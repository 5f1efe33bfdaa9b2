"""The embedded prompts: beginnings of sentences that are not in the corpus of the embedded model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...core import mini
from ...core.constants import MINI
from ...core.errors import unknown
from ...core.files import safe_name
from ...core.parsing import parse_json
from ...core.records import Prompt
from .base import Loaded, PromptSelection, PromptSet

if TYPE_CHECKING:
    from ..options import Options

GROUP = "rtp_multilingual"


def languages() -> list[str]:
    return sorted(path.stem for path in mini.PROMPTS.glob("*.jsonl"))


def load(lang: str) -> list[Prompt]:
    """The prompts of one language, in file order.

    Raises:
        DetoxbenchError: for a language that has none.
    """
    path = mini.PROMPTS / f"{safe_name(lang)}.jsonl"
    if not path.is_file():
        raise unknown("language of the mini prompts", lang, languages())
    rows = [parse_json(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Prompt(id=f"{lang}-{number}", text=row["prompt"]["text"], lang=lang, toxicity=row["prompt"]["toxicity"])
        for number, row in enumerate(rows)
    ]


def _load(where: PromptSelection, options: Options) -> Loaded:
    """The embedded prompts, or a file's in their place."""
    lang = where.lang or "en"
    if options.prompts == MINI:
        return Loaded(load(lang), name=MINI, embedded=True)
    from .file import load as load_file

    return Loaded(load_file(options.prompts, lang, options), name=Path(options.prompts).name)


SET = PromptSet(
    GROUP,
    _load,
    {f"{GROUP}_{lang}": PromptSelection(GROUP, lang) for lang in languages()},
    {GROUP: [f"{GROUP}_{lang}" for lang in languages()]},
    options=("prompts", "text", "lang", "toxicity", "group", "bad_rows", "prompts_name"),
)
"""Its lm-eval tasks are the YAML files of ``tasks/rtp_multilingual``."""
