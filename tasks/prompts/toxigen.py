"""ToxiGen's prompts (Hartvigsen et al. 2022): lists of sentences about thirteen minorities, hateful or neutral, that a
model continues with one more."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import DetoxbenchError
from ...core.records import Prompt
from .base import Loaded, PromptSelection, PromptSet, choose, gather, row_object
from .columns import first, text_of, toxicity_of
from .rows import collect, read

if TYPE_CHECKING:
    from ..options import Options

LANG = "en"
SUBSETS = ("all", "hate", "neutral")
NEEDS = 'A row is {"text": …} (or "prompt").'
_NAME = re.compile(r"(hate|neutral)_(.+?)_1k\b", re.IGNORECASE)


def _parser(kind: str, target: str, stem: str):
    def parse(value: Any, number: int) -> Prompt:
        text = text_of(first(row_object(value), "text", "prompt"), "text")
        return Prompt(
            id=f"{stem}-{number}",
            # Some files were written with the two characters backslash and n between the sentences.
            text=text.replace("\\n", "\n"),
            lang=LANG,
            toxicity=toxicity_of(first(value, "toxicity"), "toxicity"),
            group=target,
            groups=[f"target={target}", f"kind={kind}"],
        )

    return parse


@lru_cache(maxsize=64)
def _read(path: Path, stamp: float, bad_rows: Any) -> tuple[tuple[Prompt, ...], int]:
    what = f"toxigen: '{path}'"
    match = _NAME.search(path.name)
    if match is None:
        raise DetoxbenchError(f"{what}: its name says neither hate_<group>_1k nor neutral_<group>_1k")
    kind, target = match.group(1).lower(), match.group(2).lower()
    prompts, skipped = collect(read(path, what), _parser(kind, target, f"{kind}-{target}"), what, NEEDS, bad_rows)
    return tuple(prompts), skipped


def _load(where: PromptSelection, options: Options) -> Loaded:
    subset = choose("subset of toxigen_prompts", options.subset, SUBSETS, where.subset or "all")
    kinds = ("hate", "neutral") if subset == "all" else (subset,)
    patterns = [f"prompts/{kind}_*" for kind in kinds]
    files, revision = SET.files(where, options, patterns, "folder with prompts/hate_*_1k-*.parquet …")
    if options.local_path and len(files) > 1:
        # In somebody's copy the same prompts may lie as .txt beside .parquet.
        files = [path for path in files if path.suffix in (".parquet", ".jsonl", ".csv")] or files
    prompts, skipped = gather(files, lambda path, stamp: _read(path, stamp, options.bad_rows), "toxigen")
    return Loaded(prompts, revision=revision, subset=subset, skipped=skipped)


SET = PromptSet(
    "toxigen",
    _load,
    {"toxigen_prompts": PromptSelection("toxigen", LANG)},
    options=("path", "subset", "prompts_revision", "bad_rows"),
)
