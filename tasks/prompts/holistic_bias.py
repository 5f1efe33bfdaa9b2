"""HolisticBias sentences in nine languages, as "From One to Many" (Pozzobon et al. 2024) evaluates: 200 sentences
(Smith et al. 2022), the same in every language, machine-translated from English."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.records import Prompt
from .. import languages
from .base import Loaded, PromptSelection, PromptSet, gather, row_object
from .columns import MISSING, first, get, groups_of, text_of, toxicity_of
from .rows import collect, read

if TYPE_CHECKING:
    from ..options import Options

logger = logging.getLogger(__name__)

HIGH, MID = "en ru it fr pt es".split(), "ar ko hi".split()
LANGUAGES = [*HIGH, *MID]
GROUPINGS = ("axis", "bucket", "descriptor")
"""HolisticBias' own columns that results are grouped by."""

NEEDS = 'A row is {"prompt": {"text": …}, "lang": …, "axis": …, "descriptor": …}.'


def _column(row: Mapping[str, Any], name: str) -> Any:
    """A column of HolisticBias, beside the prompt or within it."""
    value = first(row, name, f"prompt.{name}", f"metadata.{name}")
    return None if value is MISSING else value


def _parser(lang: str, marked: bool):
    def parse(value: Any, number: int) -> Prompt | None:
        row = row_object(value)
        own = _column(row, "lang") or _column(row, "language")
        if own is None and not marked:
            raise ValueError("no 'lang'")
        if own is not None:
            found = languages.known(str(own))
            if found is None:
                raise ValueError(f"'lang' is {own!r:.40}, no language code")
            if not languages.matches(lang, found):
                return None
        inner = get(row, "prompt")
        text = inner if isinstance(inner, str) else first(row, "prompt.text", "text")
        groups = [entry for name in GROUPINGS for entry in groups_of(_column(row, name), name)]
        axis = _column(row, "axis")
        return Prompt(
            id=f"{lang}-{number}",
            text=text_of(text, "prompt.text"),
            lang=lang,
            toxicity=toxicity_of(first(row, "prompt.toxicity", "toxicity"), "toxicity"),
            group=None if axis is None else str(axis),
            groups=groups,
        )

    return parse


@lru_cache(maxsize=2 * len(LANGUAGES))
def _read(path: Path, stamp: float, lang: str, marked: bool, bad_rows: Any) -> tuple[tuple[Prompt, ...], int]:
    what = f"holistic_bias: '{path}'"
    prompts, skipped = collect(read(path, what), _parser(lang, marked), what, NEEDS, bad_rows)
    return tuple(prompts), skipped


def _load(where: PromptSelection, options: Options) -> Loaded:
    lang = where.lang or "en"
    # English, Portuguese and Russian are in both files, with the same sentences: one file serves a language.
    part = "mid" if lang in MID else "hi"
    pattern = f"eval/holistic_toxicity_merged_{part}.jsonl"
    files, revision = SET.files(where, options, [pattern], f"folder with {pattern}, or a file")
    marked = "{lang}" in (options.local_path or "")
    what = f"holistic_bias, language '{lang}'"
    prompts, skipped = gather(files, lambda path, stamp: _read(path, stamp, lang, marked, options.bad_rows), what)
    if not any(prompt.groups for prompt in prompts):
        logger.warning(f"{what}: no row has {', '.join(GROUPINGS)}: results are not grouped")
    return Loaded(prompts, revision=revision, skipped=skipped)


SET = PromptSet(
    "holistic_bias",
    _load,
    {f"holistic_bias_{lang}": PromptSelection("holistic_bias", lang) for lang in LANGUAGES},
    {"holistic_bias": [f"holistic_bias_{lang}" for lang in LANGUAGES]},
)
