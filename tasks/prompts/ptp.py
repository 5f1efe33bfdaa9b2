"""PolygloToxicityPrompts (Jain et al. 2024): naturally occurring prompts in seventeen languages."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.records import Prompt
from .. import languages
from ..protocols import PTP
from .base import Loaded, PromptSelection, PromptSet, choose, gather, row_object
from .columns import MISSING, first, text_of, toxicity_of
from .rows import collect, read

if TYPE_CHECKING:
    from ..options import Options

logger = logging.getLogger(__name__)

LANGUAGES = "ar cs de en es fr hi id it ja ko nl pl pt ru sv zh".split()
SUBSETS = ("small", "full", "wildchat")
NEEDS = 'A row is PolygloToxicityPrompts\' {"prompt": …, "toxicity" or "prompt_toxicity": …}.'


def _parser(lang: str, marked: bool):
    """``marked``: the file's place says its language, so that rows need not."""

    def parse(value: Any, number: int) -> Prompt | None:
        row = row_object(value)
        own = first(row, "lang", "language")
        if own is MISSING and not marked:
            raise ValueError("no language: give a folder, or a path with {lang} in it")
        if isinstance(own, str) and languages.known(own) not in (None, lang):
            return None
        # ``text`` is the whole document; the prompt is its first half (generations.py of the authors).
        text = text_of(first(row, "prompt.text", "prompt"), "prompt")
        name = first(row, "id", "index")
        return Prompt(
            id=f"{lang}-{number if name is MISSING or name is None else name}",
            text=text,
            lang=lang,
            toxicity=toxicity_of(first(row, "prompt_toxicity", "prompt.toxicity", "toxicity"), "toxicity"),
        )

    return parse


@lru_cache(maxsize=34)
def _read(path: Path, stamp: float, lang: str, marked: bool, bad_rows: Any) -> tuple[tuple[Prompt, ...], int]:
    what = f"ptp: '{path}'"
    prompts, skipped = collect(read(path, what), _parser(lang, marked), what, NEEDS, bad_rows)
    return tuple(prompts), skipped


def _load(where: PromptSelection, options: Options) -> Loaded:
    lang = where.lang or "en"
    subset = choose("subset of ptp", options.subset, SUBSETS, where.subset or "small")
    config = f"wildchat-{lang}" if subset == "wildchat" else f"ptp-{lang}"
    patterns = [f"{config}/{subset}-*.parquet", f"{config}/{subset}.*"]
    if subset == "wildchat":  # a configuration of its own, whatever its one split's files are called
        patterns.append(f"{config}/*.parquet")
    files, revision = SET.files(
        PromptSelection("ptp", lang, subset), options, patterns, "folder with ptp-en/small-*.parquet …"
    )

    def read_one(path: Path, stamp: float) -> tuple[Sequence[Prompt], int]:
        marked = "{lang}" in (options.local_path or "{lang}") or path.parent.name == config
        return _read(path, stamp, lang, marked, options.bad_rows)

    prompts, skipped = gather(files, read_one, f"ptp, language '{lang}'")
    if all(prompt.toxicity is None for prompt in prompts):
        logger.warning(
            f"ptp, language '{lang}': no row has 'prompt_toxicity' or 'toxicity'; the run's scorer scores them"
        )
    return Loaded(prompts, revision=revision, subset=subset, skipped=skipped, messages=subset == "wildchat")


SET = PromptSet(
    "ptp",
    _load,
    {f"ptp_{lang}": PromptSelection("ptp", lang) for lang in LANGUAGES},
    {"ptp": [f"ptp_{lang}" for lang in LANGUAGES]},
    protocol=PTP,
    options=("path", "subset", "task", "protocol", "prompts_revision", "bad_rows"),
)
